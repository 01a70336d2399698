//! The reasons to cancel a request.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::envelope::Probe;
use openagentmesh_protocol::{AgentName, RequestHeaders, RequestId};
use tokio::task::coop;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::request::Request;
use super::signals::SignalHandle;
use super::state::AgentState;
use crate::session::Session;
use crate::telemetry::CancelReason;
use crate::transport::Outgoing;

/// The time that a request runs before its caller is probed for the first time.
const FIRST_PROBE_DELAY: Duration = Duration::from_millis(100);
/// The wait after a probe for the report that it has no subscriber. After a missed probe the next one follows
/// at once.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The further wait after a probe with a subscriber.
const PROBE_INTERVAL: Duration = Duration::from_millis(1300);
/// The number of probes that ask whether a caller still waits. A caller that has just reconnected may not answer the
/// first one.
const PROBES_OF_A_QUESTION: u32 = 2;
/// The wait for the answer after each of them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait after one without a subscriber.
const MISSED_PROBE_DELAY: Duration = Duration::from_millis(250);
/// The number of consecutive probes without a subscriber after which the caller counts as disconnected. A lost
/// connection is usually restored in less time.
const MAX_MISSED_PROBES: u32 = 3;

/// Resolves with the reason when the request must be cancelled: shutdown, a cancel message, the deadline, or
/// three consecutive probes without a subscriber. The token of the handler's context fires first.
///
/// `stream` has the signals of the consumer of a stream; `None` for a call.
pub(super) async fn cancelled(
    agent: &AgentState,
    request: &Request<'_>,
    stream: Option<&SignalHandle>,
) -> CancelReason {
    // The handler is polled first, in the same task, and may have used up the task's budget.
    let reason = coop::unconstrained(reason(agent, request, stream));
    // Boxed only when polled: most requests are answered before.
    let reason = reason.boxed().await;
    request.cancel();
    reason
}

async fn reason(
    agent: &AgentState,
    request: &Request<'_>,
    stream: Option<&SignalHandle>,
) -> CancelReason {
    tokio::select! {
        biased;
        () = agent.abort.cancelled() => CancelReason::Shutdown,
        () = consumer_disconnected(stream) => CancelReason::CallerDisconnected,
        () = deadline_passed(request.deadline) => CancelReason::DeadlineExceeded,
        () = caller_disconnected(agent, request) => CancelReason::CallerDisconnected,
    }
}

async fn consumer_disconnected(stream: Option<&SignalHandle>) {
    match stream {
        Some(signals) => signals.disconnected().await,
        None => std::future::pending().await,
    }
}

async fn deadline_passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Probes the caller until it has disconnected. Never resolves for a caller that does not answer probes.
async fn caller_disconnected(agent: &AgentState, request: &Request<'_>) {
    let Some(caller) = request.reply().filter(|_| request.headers.probe) else {
        return std::future::pending().await;
    };
    sleep(FIRST_PROBE_DELAY).await;
    let Ok(signals) = agent.signals.probe_handle() else {
        // The connection is closed.
        return;
    };
    let prober = Prober::new(agent, request, caller, signals);
    // In a task of its own: a caller takes the host for dead when probes are missing, and a handler may block its own
    // task. The task ends only with the caller, or with the runtime.
    drop(AbortOnDropHandle::new(tokio::spawn(prober.run())).await);
}

/// Asks the caller of a request that may be older than it seems whether it still waits. `Err` has the reason to cancel
/// the request. A caller that has a subscription and does not answer counts as waiting.
pub(super) async fn still_waits(
    agent: &AgentState,
    request: &Request<'_>,
) -> Result<(), CancelReason> {
    tokio::select! {
        biased;
        () = agent.abort.cancelled() => Err(CancelReason::Shutdown),
        () = deadline_passed(request.deadline) => Err(CancelReason::DeadlineExceeded),
        waits = ask(agent, request) => match waits {
            true => Ok(()),
            false => Err(CancelReason::CallerDisconnected),
        },
    }
}

/// Whether the caller waits. One that does not exist any longer has no subscription.
async fn ask(agent: &AgentState, request: &Request<'_>) -> bool {
    let Some(caller) = request.reply().filter(|_| request.headers.probe) else {
        return true;
    };
    let Ok(signals) = agent.signals.probe_handle() else {
        // The connection is closed.
        return false;
    };
    let prober = Prober::new(agent, request, caller, signals);
    let (signals, connection) = (&prober.signals, &agent.session.connection);
    for _ in 0..MAX_MISSED_PROBES {
        let missed = signals.missed_probes();
        // All on one connection. The server may have ended during the freeze, or may end now, and neither a probe nor
        // its answer outlives the connection.
        let asked = connection.repeat_after_loss(|| async {
            for _ in 0..PROBES_OF_A_QUESTION {
                prober.probe(Probe::Question).await;
                agent.signals.catch_up(&connection.publisher).await?;
                let wait = match signals.missed_probes() == missed {
                    true => ANSWER_TIMEOUT,
                    false => MISSED_PROBE_DELAY,
                };
                tokio::select! {
                    biased;
                    () = signals.disconnected() => return Ok(Some(false)),
                    () = signals.still_waits() => return Ok(Some(true)),
                    () = sleep(wait) => {}
                }
            }
            Ok(None)
        });
        match asked.await {
            Ok(Some(waits)) => return waits,
            // A caller that is frozen, too, answers later.
            Ok(None) if signals.missed_probes() == missed => return true,
            Ok(None) => {}
            Err(_) => return false,
        }
    }
    false
}

/// Probes the caller of one request.
struct Prober {
    session: Arc<Session>,
    agent: AgentName,
    request: RequestId,
    caller: Subject,
    signals: SignalHandle,
}

impl Prober {
    fn new(
        agent: &AgentState,
        request: &Request<'_>,
        caller: &Subject,
        signals: SignalHandle,
    ) -> Self {
        Self {
            session: Arc::clone(&agent.session),
            agent: agent.name.clone(),
            request: request.id.clone(),
            caller: caller.clone(),
            signals,
        }
    }

    /// Resolves when the caller has disconnected.
    async fn run(self) {
        let signals = &self.signals;
        let (mut missed, mut consecutive) = (0, 0);
        while consecutive < MAX_MISSED_PROBES {
            // A lost connection has no room to spare for probes, and does not say whether the caller is there.
            if self.session.connection.is_up() {
                self.probe(Probe::Check).await;
            }
            let mut cancelled = timeout(PROBE_TIMEOUT, signals.disconnected()).await.is_ok();
            let missed_before = std::mem::replace(&mut missed, signals.missed_probes());
            if missed > missed_before {
                consecutive += 1;
            } else if !cancelled {
                consecutive = 0;
                let interval = timeout(PROBE_INTERVAL, signals.disconnected());
                cancelled = interval.await.is_ok();
            }
            if cancelled {
                return;
            }
        }
    }

    async fn probe(&self, probe: Probe) {
        let mut headers = Outgoing::default();
        RequestHeaders {
            request_id: Some(self.request.clone()),
            instance_id: Some(self.session.instance_id.clone()),
            ..RequestHeaders::default()
        }
        .write(&mut headers);
        probe.write(&mut headers);
        let probed = self.session.connection.publisher.publish(
            self.caller.clone(),
            Some(self.signals.subject().clone()),
            headers.0,
            Bytes::new(),
        );
        if let Err(error) = probed.await {
            tracing::debug!(agent = %self.agent, %error, "a probe could not be sent");
        }
    }
}
