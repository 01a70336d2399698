//! Questions to the server that are asked again while they stay unanswered.
//!
//! A question may stay unanswered without a lost connection: while a cluster elects the leader of a bucket, no server
//! answers.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::transport::Connection;
use crate::util::backoff::Backoff;

/// The bounds of the time after which an unanswered question is asked again. It is doubled from one to the other.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
const MAX_INTERVAL: Duration = Duration::from_secs(2);
/// The bounds of the back-off after an answer that may change soon.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(20);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The outcome of an attempt that did not succeed.
pub(super) enum Repeat<E> {
    /// The same question may be answered otherwise soon.
    Soon(E),
    /// The question is answered.
    Never(E),
}

/// Runs `attempt` until one succeeds. An attempt without an answer stays under way while the next ones run; the first
/// answer counts. `sending` is the time that the content of an attempt may take. `on_problem` is called with each
/// answer that may change soon.
///
/// Cancel-safe, and without an end of its own: the caller limits the time.
pub(super) async fn until_answered<T, E, F>(
    connection: &Connection,
    sending: Duration,
    attempt: impl Fn() -> F,
    mut on_problem: impl FnMut(E),
) -> Result<T, E>
where
    F: Future<Output = Result<T, Repeat<E>>>,
{
    let mut interval = match connection.is_clustered() {
        true => MIN_INTERVAL,
        false => MAX_INTERVAL,
    };
    let mut progress = connection.receive_progress();
    let mut next = pin!(sleep_until(Instant::now() + interval + sending));
    let mut first = pin!(attempt());
    let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
    let mut attempts = FuturesUnordered::new();
    // Most questions are answered at once.
    tokio::select! {
        biased;
        done = &mut first => match done {
            Ok(done) => return Ok(done),
            Err(Repeat::Never(error)) => return Err(error),
            Err(Repeat::Soon(error)) => {
                on_problem(error);
                next.as_mut().reset(Instant::now() + backoff.next_delay());
            }
        },
        () = &mut next => attempts.push(Either::Left(first)),
    }
    loop {
        tokio::select! {
            biased;
            Some(done) = attempts.next() => match done {
                Ok(done) => return Ok(done),
                Err(Repeat::Never(error)) => return Err(error),
                Err(Repeat::Soon(error)) => {
                    on_problem(error);
                    let retry = Instant::now() + backoff.next_delay();
                    if retry < next.deadline() {
                        next.as_mut().reset(retry);
                    }
                }
            },
            () = &mut next => {
                attempts.push(Either::Right(attempt()));
                // An answer may be arriving on a slow link, where further answers would delay it.
                interval = match progress.has_advanced(interval.max(Duration::from_secs(1))) {
                    true => interval.saturating_mul(2),
                    false => interval.saturating_mul(2).min(MAX_INTERVAL),
                };
                next.as_mut().reset(Instant::now() + interval + sending);
            }
        }
    }
}
