//! Opening a bucket, which is created if it is missing.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use openagentmesh_protocol::ErrorCode;
use tokio::time::Instant;

use super::error::StoreError;
use super::handle::Handle;
use super::repeat::{Repeat, until_answered};
use crate::error::{Error, Result};
use crate::transport::Connection;
use crate::util::backoff::Backoff;
use crate::util::single_flight::{Outcome, SingleFlight};
use crate::util::sync::Mutex;

/// The timeout of one JetStream request, above every timeout of [`Bucket::with`] and of transfers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The time in which the nodes of a new cluster find each other.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(3);
/// The time in which all nodes learn of a bucket that one of them has created.
const APPEARANCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The bounds of the back-off until a bucket appears that is being created.
const MIN_LOOK_UP_DELAY: Duration = Duration::from_millis(10);
const MAX_LOOK_UP_DELAY: Duration = Duration::from_millis(250);

/// Opens a bucket once for all operations that need it at the same time.
pub(super) struct Opener<H> {
    connection: Connection,
    name: &'static str,
    /// Written by the first operation on each connection, read by every operation.
    opened: Mutex<Option<Opened<H>>>,
    opening: SingleFlight<Outcome>,
}

struct Opened<H> {
    handle: Arc<H>,
    /// The connection's count of reconnections at that time, and the epoch of its client.
    at: (u64, u64),
}

impl<H: Handle> Opener<H> {
    pub(super) fn new(connection: Connection, name: &'static str) -> Self {
        Self {
            connection,
            name,
            opened: Mutex::new(None),
            opening: SingleFlight::default(),
        }
    }

    /// JetStream by the current client of the connection.
    pub(super) fn jetstream(&self) -> jetstream::Context {
        let mut jetstream = self.connection.jetstream();
        jetstream.set_timeout(ANSWER_TIMEOUT);
        jetstream
    }

    /// The handle, if the bucket was opened on this connection.
    pub(super) fn opened(&self) -> Option<Arc<H>> {
        let opened = self.opened.lock();
        let opened = opened.as_ref()?;
        let is_current = opened.at == self.connection.incarnation();
        is_current.then(|| Arc::clone(&opened.handle))
    }

    /// Opens the bucket, or creates it if it is missing.
    pub(super) async fn find_or_create(self: &Arc<Self>) -> Result<Arc<H>> {
        self.connection.check_attached()?;
        let open = || Arc::clone(self).open();
        self.opening.until_ready(|| self.opened(), open).await
    }

    async fn open(self: Arc<Self>) -> Result<()> {
        let at = self.connection.incarnation();
        let handle = match self.look_up().await? {
            Some(found) => found,
            None => self.create().await?,
        };
        let handle = Arc::new(handle);
        *self.opened.lock() = Some(Opened { handle, at });
        Ok(())
    }

    /// The next operation opens the bucket again.
    pub(super) fn close(&self) {
        *self.opened.lock() = None;
    }

    pub(super) async fn look_up(&self) -> Result<Option<H>> {
        let asked = Instant::now();
        let open = || async {
            let opened = H::open(&self.jetstream(), self.name).await;
            opened.map_err(|error| self.opening_failure(StoreError::new(error), asked))
        };
        match until_answered(&self.connection, Duration::ZERO, open, drop).await {
            Ok(handle) => Ok(Some(handle)),
            Err(error) => {
                if error.is_bucket_missing() {
                    Ok(None)
                } else if error.is_without_jetstream() {
                    Err(Error::raised(
                        ErrorCode::StorageError,
                        "JetStream unavailable: the server runs without it; start it with `oam mesh up`, \
                         or with `nats-server -js`",
                    )
                    .with_source(error))
                } else {
                    Err(error.into_error("open", self.name))
                }
            }
        }
    }

    /// Whether a failure to open or create the bucket may be over soon.
    fn opening_failure(&self, error: StoreError, asked: Instant) -> Repeat<StoreError> {
        let is_starting = self.connection.is_clustered() && asked.elapsed() < STARTUP_TIMEOUT;
        match error.is_temporary() || (is_starting && error.is_without_jetstream()) {
            true => Repeat::Soon(error),
            false => Repeat::Never(error),
        }
    }

    /// Creates the bucket with as many replicas as the servers can hold.
    async fn create_replicated(&self) -> Result<(), StoreError> {
        let mut replicas = self.connection.replicas();
        loop {
            let asked = Instant::now();
            let create = || async {
                let config = H::config(self.name, &self.connection, replicas);
                let created = self.jetstream().create_stream(config).await;
                created.map(drop).map_err(|error| {
                    let error = StoreError::new(error);
                    // The nodes of a new cluster may not know each other yet.
                    let may_join = replicas > 1
                        && error.is_without_peers()
                        && !error.is_without_cluster()
                        && asked.elapsed() < STARTUP_TIMEOUT
                        && self.connection.replicas() >= replicas;
                    match may_join {
                        true => Repeat::Soon(error),
                        false => self.opening_failure(error, asked),
                    }
                })
            };
            match until_answered(&self.connection, Duration::ZERO, create, drop).await {
                Err(error) if replicas > 1 && error.is_without_peers() => {
                    replicas -= 1;
                    self.connection.limit_replicas(replicas);
                }
                created => return created,
            }
        }
    }

    /// Creates the bucket. Peers may create it at the same moment: then theirs is opened.
    async fn create(&self) -> Result<H> {
        let mut answered = None;
        let mut backoff = Backoff::new(MIN_LOOK_UP_DELAY, MAX_LOOK_UP_DELAY);
        loop {
            let created = self.create_replicated().await;
            let answered = answered.get_or_insert_with(Instant::now);
            let exists = match &created {
                Ok(()) => true,
                Err(error) => error.is_name_taken(),
            };
            // The servers of a cluster learn one after the other of a bucket that is being created.
            let may_appear =
                exists && self.connection.is_clustered() && answered.elapsed() < APPEARANCE_TIMEOUT;
            match (self.look_up().await?, created) {
                (Some(found), _) => return Ok(found),
                (None, _) if may_appear => tokio::time::sleep(backoff.next_delay()).await,
                (None, Err(error)) => return Err(error.into_error("create", self.name)),
                (None, Ok(())) => {
                    let reason = "the bucket was deleted right after its creation";
                    return Err(StoreError::new(reason).into_error("open", self.name));
                }
            }
        }
    }
}
