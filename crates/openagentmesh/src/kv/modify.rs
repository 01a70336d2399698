//! Read-modify-write by compare-and-swap.

use std::time::Duration;

use openagentmesh_protocol::ErrorCode;
use tokio::time::Instant;

use super::entry::KvEntry;
use super::store::Kv;
use super::value::KvValue;
use crate::error::{Error, Result};
use crate::util::backoff::Backoff;
use crate::util::operation::Operation;

/// The limit of retries after lost compare-and-swaps.
const CONTENTION_TIMEOUT: Duration = Duration::from_secs(60);
/// The bounds of the back-off after a lost race.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(2);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(250);

impl Kv {
    /// Replaces the value of `key` with the result of `change`, and returns its revision. No concurrent
    /// write is lost: when another process writes the key in between, `change` runs again.
    ///
    /// `change` gets `None` when the key has no value. A result equal to the current value is not written.
    ///
    /// # Errors
    ///
    /// The error of `change`, after which nothing is written; `timeout` when other processes win every
    /// race for 60 s; and those of [`Kv`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use openagentmesh::Json;
    ///
    /// mesh.kv().modify("visits", |entry| {
    ///     let visits: u64 = entry.map_or(Ok(0), |entry| entry.json())?;
    ///     Ok(Json(visits + 1))
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn modify<'c, V: KvValue + 'c>(
        &self,
        key: impl AsRef<str>,
        change: impl FnMut(Option<&KvEntry>) -> Result<V> + Send + 'c,
    ) -> Operation<'c, u64> {
        self.operation(key, |kv, key| async move {
            kv.modify_until_written(&key, change).await
        })
    }

    async fn modify_until_written<V: KvValue>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<&KvEntry>) -> Result<V>,
    ) -> Result<u64> {
        let started = Instant::now();
        let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
        loop {
            if let Some(revision) = self.modify_once(key, &mut change).await? {
                return Ok(revision);
            }
            if started.elapsed() >= CONTENTION_TIMEOUT {
                return Err(Error::raised(
                    ErrorCode::Timeout,
                    format!(
                        "cannot write key '{key}' within {} s: other processes keep changing it; \
                         try again",
                        CONTENTION_TIMEOUT.as_secs()
                    ),
                )
                .with_detail("key", key));
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// As [`modify`](Kv::modify) with a single attempt: returns `None` when another process wrote the key in
    /// between.
    ///
    /// # Errors
    ///
    /// The error of `change`, after which nothing is written, and those of [`Kv`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let won = mesh.kv().try_modify("owner", |_| Ok("me")).await?;
    /// println!("{}", if won.is_some() { "written" } else { "another process was faster" });
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_modify<'c, V: KvValue + 'c>(
        &self,
        key: impl AsRef<str>,
        change: impl FnOnce(Option<&KvEntry>) -> Result<V> + Send + 'c,
    ) -> Operation<'c, Option<u64>> {
        self.operation(
            key,
            |kv, key| async move { kv.modify_once(&key, change).await },
        )
    }

    async fn modify_once<V: KvValue>(
        &self,
        key: &str,
        change: impl FnOnce(Option<&KvEntry>) -> Result<V>,
    ) -> Result<Option<u64>> {
        let (entry, revision) = self.read(key).await?;
        let value = self.checked(key, change(entry.as_ref())?)?;
        if entry.is_some_and(|entry| entry.value == value) {
            return Ok(Some(revision));
        }
        match self.bucket().update(key, value, revision).await? {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.is_wrong_revision() => Ok(None),
            Err(error) => Err(self.write_failed(key, error)),
        }
    }
}
