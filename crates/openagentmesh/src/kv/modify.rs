//! Changing a value without losing what others change at the same time.

use std::time::Duration;

use openagentmesh_protocol::ErrorCode;
use rand::RngExt;
use tokio::time::Instant;

use super::{Kv, KvEntry, KvValue};
use crate::error::{Error, Result};

/// How long to try while others win every race.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause after a lost race lasts at most this long, each further one up to twice that.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Kv {
    /// Puts what `change` makes of the value of `key`, and returns its revision. No change of anybody is
    /// lost: when somebody else writes the key meanwhile, `change` is asked again.
    ///
    /// `change` gets `None` when the key has no value. What it returns is not written when it is what is
    /// there already.
    ///
    /// # Errors
    ///
    /// That of `change`, after which nothing is written; `timeout` when others win every race for a
    /// minute; and those of [`Kv`]. Cancel-safe.
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
    pub async fn modify<V: KvValue>(
        &self,
        key: impl AsRef<str>,
        mut change: impl FnMut(Option<&KvEntry>) -> Result<V>,
    ) -> Result<u64> {
        let key = key.as_ref();
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(revision) = self.try_modify(key, &mut change).await? {
                return Ok(revision);
            }
            if started.elapsed() >= PATIENCE {
                return Err(Error::raised(
                    ErrorCode::Timeout,
                    format!(
                        "key '{key}' could not be written within {} s: others keep changing it; \
                         try again",
                        PATIENCE.as_secs()
                    ),
                )
                .with_detail("key", key));
            }
            let nap = rand::rng().random_range(Duration::ZERO..pause);
            tokio::time::sleep(nap).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Puts what `change` makes of the value of `key` if nobody else writes it meanwhile, and returns its
    /// revision; `None` when somebody did. As [`modify`](Kv::modify), which tries again then.
    ///
    /// # Errors
    ///
    /// That of `change`, after which nothing is written, and those of [`Kv`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let won = mesh.kv().try_modify("turn", |_| Ok("mine")).await?;
    /// println!("{}", if won.is_some() { "my turn" } else { "somebody was faster" });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn try_modify<V: KvValue>(
        &self,
        key: impl AsRef<str>,
        change: impl FnOnce(Option<&KvEntry>) -> Result<V>,
    ) -> Result<Option<u64>> {
        let key = key.as_ref();
        let (entry, revision) = self.read(key).await?;
        let value = self.checked(key, change(entry.as_ref())?)?;
        if entry.is_some_and(|entry| entry.value == value) {
            return Ok(Some(revision));
        }
        match self.write_if(key, value, revision).await? {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.is_wrong_revision() => Ok(None),
            Err(error) => Err(self.not_written(key, error)),
        }
    }
}
