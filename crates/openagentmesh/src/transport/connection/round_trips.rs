//! Waiting for the server: until it has received or processed what was sent, and for what it denies.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh_protocol::ErrorCode;

use super::{Connection, FLUSH_TIMEOUT};
use crate::error::{Error, Result};
use crate::transport::{Action, DenialWatch, closed};

/// Maximum wait for the report of a client's death after one of its requests has failed without an answer.
const DEATH_TIMEOUT: Duration = Duration::from_secs(1);

impl Connection {
    /// Waits until the server has received everything that was published before.
    ///
    /// # Errors
    ///
    /// `connection_failed` without a connection for 2 s.
    pub(crate) async fn flush(&self) -> Result<()> {
        let flush = || async {
            self.publisher.flush().await;
            let flushed = self.client().flush().await;
            flushed.map_err(|error| closed(error.to_string()))
        };
        match tokio::time::timeout(FLUSH_TIMEOUT, self.repeat_after_loss(flush)).await {
            Ok(flushed) => flushed,
            Err(_) => Err(self.server_silent()),
        }
    }

    /// Waits until the server has processed everything that was sent before: a message to a subject of this
    /// process's own comes back after all of it, or the server denies that subject after all of it.
    ///
    /// # Errors
    ///
    /// `connection_failed` without a connection for 2 s.
    pub(crate) async fn synchronize(&self) -> Result<()> {
        let round_trip = self.repeat_after_loss(|| self.round_trip());
        match tokio::time::timeout(FLUSH_TIMEOUT, round_trip).await {
            Ok(returned) => returned,
            Err(_) => Err(self.server_silent()),
        }
    }

    /// Runs `attempt` until the connection is not lost while it runs. Fails with its error, and when the connection is
    /// closed.
    pub(crate) async fn repeat_after_loss<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            let is_unanswered = |error: &Error| error.code() == &ErrorCode::ConnectionFailed;
            match self.until_lost(attempt(), is_unanswered).await {
                Some(done) => return done,
                None => self.recovered().await?,
            }
        }
    }

    /// Runs a request to the server, which is not repeated by the client when its answer is lost. `None` when the
    /// connection is lost before, or its client dies. `is_unanswered` says of an error whether it may be due to that.
    pub(crate) async fn until_lost<T, E>(
        &self,
        request: impl Future<Output = Result<T, E>>,
        is_unanswered: impl Fn(&E) -> bool,
    ) -> Option<Result<T, E>> {
        let epoch = self.slot.epoch();
        let mut losses = self.monitor.losses();
        let done = tokio::select! {
            biased;
            done = request => done,
            Ok(()) = losses.changed() => return None,
        };
        let Err(error) = &done else {
            return Some(done);
        };
        // The death is about to be reported, unless the client is not replaced. A client that dies fails its requests a moment
        // before it can be seen to be dead.
        let death = self.slot.death(epoch);
        let is_dead = if self.slot.has_died_since(epoch) {
            death.await.is_some()
        } else if is_unanswered(error) {
            matches!(
                tokio::time::timeout(DEATH_TIMEOUT, death).await,
                Ok(Some(()))
            )
        } else {
            false
        };
        (!is_dead).then_some(done)
    }

    /// Waits until the connection is not lost.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn recovered(&self) -> Result<()> {
        let recovered = self.monitor.recovered().await;
        recovered.ok_or_else(|| closed("it was lost before"))
    }

    async fn round_trip(&self) -> Result<()> {
        let subject = self.client().new_inbox();
        let own = subject.clone();
        let mut denied = self.denials.watch(move |denial| {
            denial.denies(Action::Publish, &own) || denial.denies(Action::Subscribe, &own)
        });
        let mut messages = self.subscribe_once(subject.clone()).await?;
        let sent = self
            .publisher
            .publish(subject, None, HeaderMap::new(), Bytes::new());
        sent.await?;
        tokio::select! {
            biased;
            _ = denied.denied() => Ok(()),
            message = messages.next() => match message {
                Some(_) => Ok(()),
                None => Err(closed("the subscription ended before the round trip")),
            },
        }
    }

    /// Waits until the server has decided on everything that was sent before, and its denials are known.
    ///
    /// # Errors
    ///
    /// Those of [`synchronize`](Self::synchronize).
    pub(crate) async fn settle(&self) -> Result<()> {
        // The client reports a denial from a task of its own. The second round trip gives that task time.
        self.synchronize().await?;
        self.synchronize().await
    }

    /// As [`settle`](Self::settle), and ends at once when `watch` has a denial.
    ///
    /// # Errors
    ///
    /// `connection_denied` when `watch` has a denial, and the errors of [`synchronize`](Self::synchronize).
    pub(crate) async fn await_verdict(&self, watch: &mut DenialWatch) -> Result<()> {
        tokio::select! {
            biased;
            denied = watch.denied() => return Err(denied),
            settled = self.settle() => settled?,
        }
        watch.check()
    }

    /// Runs `publishing`, which publishes to `subject` without an answer. The first time on this connection, waits
    /// until the server has permitted it, unless the connection is lost.
    ///
    /// # Errors
    ///
    /// `connection_denied`, and the errors of `publishing`.
    pub(crate) async fn confirm(
        &self,
        subject: &str,
        publishing: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        if self.denials.is_permitted(subject) {
            return publishing.await;
        }
        let own = subject.to_owned();
        let mut watch = self
            .denials
            .watch(move |denial| denial.denies(Action::Publish, &own));
        publishing.await?;
        if !self.is_up() {
            return watch.check();
        }
        match self.await_verdict(&mut watch).await {
            Ok(()) => self.denials.set_permitted(subject),
            Err(denied) if denied.code() == &ErrorCode::ConnectionDenied => return Err(denied),
            Err(error) => tracing::debug!(%error, subject, "a publish is not confirmed"),
        }
        Ok(())
    }

    fn server_silent(&self) -> Error {
        closed(format!(
            "no answer of the server within {FLUSH_TIMEOUT:?}{}",
            self.lost()
        ))
    }
}
