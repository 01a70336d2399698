//! Whether anybody still waits for an answer.

use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::{HeaderSink, RequestHeaders, header};
use tokio::time::{Instant, sleep_until};

use super::decode::Request;
use super::feedback::Listener;
use super::service::Served;
use crate::wire::{self, Outgoing};

/// How long a request runs before its caller is asked for the first time whether it still waits.
const FIRST_PROBE: Duration = Duration::from_millis(100);
/// How long until it is asked again.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// A time that does not come.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Why nobody waits for an answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// The caller gave up, or is no more.
    CallerGone,
    /// The caller waits until a time that has passed.
    DeadlinePassed,
    /// The host shuts down.
    HostStopped,
}

/// Waits until nobody waits for the answer to `request`.
///
/// Callers that answer probes are asked now and then on the subject of their reply: one that gave up
/// says so, and in the place of one that is no more the server does.
pub(super) async fn ended(
    served: &Served,
    request: &Request<'_>,
    listener: Option<&Listener>,
) -> Absence {
    let now = Instant::now();
    let probed = request.reply().filter(|_| request.headers.probe);
    let mut own_listener = None;
    let mut next_probe = probed.map(|_| now + FIRST_PROBE);
    loop {
        let never = Instant::now() + NEVER;
        let heard = listener.or(own_listener.as_ref());
        tokio::select! {
            biased;
            () = served.abort.cancelled() => return Absence::HostStopped,
            () = gone(heard) => return Absence::CallerGone,
            () = sleep_until(request.deadline.unwrap_or(never)) => return Absence::DeadlinePassed,
            () = sleep_until(next_probe.unwrap_or(never)) => {}
        }
        if let Some(caller) = probed {
            let listener = match listener {
                Some(listener) => listener,
                None => own_listener.get_or_insert_with(|| served.feedback.listen(None)),
            };
            probe(served, request, caller, listener).await;
            next_probe = Some(Instant::now() + PROBE_INTERVAL);
        }
    }
}

async fn gone(listener: Option<&Listener>) {
    match listener {
        Some(listener) => listener.gone().await,
        None => std::future::pending().await,
    }
}

async fn probe(
    served: &Served,
    request: &Request<'_>,
    caller: &async_nats::Subject,
    listener: &Listener,
) {
    let mut headers = Outgoing::default();
    RequestHeaders {
        request_id: Some(request.id.clone()),
        ..RequestHeaders::default()
    }
    .write(&mut headers);
    headers.put(header::PROBE, "true");
    let asked = wire::publish(
        served.client(),
        caller.clone(),
        Some(listener.subject().clone()),
        headers.0,
        Bytes::new(),
    );
    if let Err(error) = asked.await {
        tracing::debug!(agent = %served.name, %error, "a caller cannot be asked whether it waits");
    }
}
