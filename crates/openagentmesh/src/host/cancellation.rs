//! Whether anybody still waits for an answer.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{HeaderSink, RequestHeaders, header};
use tokio::time::{Instant, sleep, sleep_until};

use super::request::Request;
use super::service::AgentState;
use super::signals::SignalHandle;
use crate::transport::Outgoing;

/// How long a request runs before its caller is asked for the first time whether it still waits.
const FIRST_PROBE: Duration = Duration::from_millis(100);
/// How long the server may take to say that nobody is there, and until it is asked again then.
const ABSENCE: Duration = Duration::from_millis(500);
/// How often in a row nobody is there until the caller counts as gone: a lost connection is found
/// again in less time, mostly.
const ABSENCES: u32 = 3;
/// How long until a caller that is there is asked again.
const PROBE_INTERVAL: Duration = Duration::from_millis(1500);
/// A time that does not come.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Why nobody waits for an answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelReason {
    /// The caller gave up, or is no more.
    CallerGone,
    /// The caller waits until a time that has passed.
    DeadlinePassed,
    /// The host shuts down.
    HostStopped,
}

/// Waits until nobody waits for the answer to `request`. `consumer` is where the taker of its chunks
/// is heard, if there are chunks.
///
/// Callers that answer probes are asked now and then on the subject of their reply: one that gave up
/// says so, and in the place of one that is no more the server does.
pub(super) async fn ended(
    served: &AgentState,
    request: &Request<'_>,
    consumer: Option<&SignalHandle>,
) -> CancelReason {
    // Boxed when it is waited for: most requests are answered before.
    watch(served, request, consumer).boxed().await
}

async fn watch(
    served: &AgentState,
    request: &Request<'_>,
    consumer: Option<&SignalHandle>,
) -> CancelReason {
    tokio::select! {
        biased;
        () = served.abort.cancelled() => CancelReason::HostStopped,
        () = gone(consumer) => CancelReason::CallerGone,
        () = sleep_until(request.deadline.unwrap_or_else(never)) => CancelReason::DeadlinePassed,
        () = left(served, request) => CancelReason::CallerGone,
    }
}

fn never() -> Instant {
    Instant::now() + NEVER
}

async fn gone(listener: Option<&SignalHandle>) {
    match listener {
        Some(listener) => listener.gone().await,
        None => std::future::pending().await,
    }
}

/// Waits until probes tell that the caller is gone; for ever if it does not answer them.
async fn left(served: &AgentState, request: &Request<'_>) {
    let Some(caller) = request.reply().filter(|_| request.headers.probe) else {
        return std::future::pending().await;
    };
    sleep(FIRST_PROBE).await;
    let listener = served.feedback.listen_to_caller();
    let (mut absences, mut in_a_row) = (0, 0);
    while in_a_row < ABSENCES {
        probe(served, request, caller, &listener).await;
        let mut said_so = tokio::time::timeout(ABSENCE, listener.gone()).await.is_ok();
        let before = std::mem::replace(&mut absences, listener.absences());
        if absences > before {
            in_a_row += 1;
        } else if !said_so {
            in_a_row = 0;
            let pause = tokio::time::timeout(PROBE_INTERVAL, listener.gone());
            said_so = pause.await.is_ok();
        }
        if said_so {
            return;
        }
    }
}

async fn probe(
    served: &AgentState,
    request: &Request<'_>,
    caller: &async_nats::Subject,
    listener: &SignalHandle,
) {
    let mut headers = Outgoing::default();
    RequestHeaders {
        request_id: Some(request.id.clone()),
        ..RequestHeaders::default()
    }
    .write(&mut headers);
    headers.put(header::PROBE, "true");
    let asked = served.publisher().publish(
        caller.clone(),
        Some(listener.subject().clone()),
        headers.0,
        Bytes::new(),
    );
    if let Err(error) = asked.await {
        tracing::debug!(agent = %served.name, %error, "a caller cannot be asked whether it waits");
    }
}
