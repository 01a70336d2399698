//! Reading the catalog, and changing it by compare-and-swap.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh_protocol::catalog::{CHANGED_HEADER, changed_names};
use openagentmesh_protocol::{AgentName, CatalogDocument, CatalogEntry, ErrorCode, Visible};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::state::CacheState;
use super::{problem, registry};
use crate::error::{BoxError, Error, Result};
use crate::store::{HEADER_OVERHEAD, KvBucket, StoreError};
use crate::util::backoff::Backoff;

/// The limit of retries after lost compare-and-swaps.
const CONTENTION_TIMEOUT: Duration = Duration::from_secs(60);
/// The limit of retries after other failures.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(5);
/// The bounds of the back-off after a failed write.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(4);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(250);
/// The size of a value, in bytes, from which on it is parsed on a thread for blocking work.
const MIN_BLOCKING_BYTES: usize = 256 * 1024;

/// The catalog that was just written.
pub(super) struct Written {
    pub(super) document: CatalogDocument,
    pub(super) revision: u64,
    /// Whether the cached catalog came from another bucket: its revision was higher.
    pub(super) is_recreated: bool,
}

/// The stored value of the catalog's key.
pub(super) struct Read {
    /// The catalog, or the problem of a value that is not one.
    pub(super) document: Result<CatalogDocument>,
    /// The revision for the next compare-and-swap; 0 if the key was never written.
    pub(super) revision: u64,
    /// The time of the write; `None` if the key was never written.
    pub(super) published: Option<OffsetDateTime>,
    /// Whether clients may lose their connection when they receive the stored message.
    is_suspect: bool,
}

impl Read {
    /// Whether the stored message must be replaced.
    pub(super) fn needs_repair(&self) -> bool {
        self.document.is_err() || self.is_suspect
    }
}

/// Applies `change` to the catalog by compare-and-swap. Returns the new catalog, or `None` if `change`
/// changed nothing.
///
/// The first attempt starts from the `cached` catalog, every other one from the server's. `change` returns
/// whether it changed anything, and runs again on a newer catalog after another process wrote it. A stored value that
/// is not a catalog is replaced by the last valid one that is known, with the agents of the `registry` and the changes. A
/// stored message that ends connections is written
/// again without its headers.
///
/// `change` changes the entries of `names` alone, which a header of the write says.
pub(super) async fn edit(
    catalog: &KvBucket,
    registry: &Arc<KvBucket>,
    cached: CacheState,
    names: &[&AgentName],
    mut change: impl FnMut(&mut CatalogDocument) -> serde_json::Result<bool>,
) -> Result<Option<Written>> {
    let max_payload = catalog.connection().max_payload();
    let started = Instant::now();
    let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
    let cached_revision = cached.revision().unwrap_or(0);
    let mut first = match &cached {
        CacheState::Ready(snapshot) => Some((snapshot.document().clone(), snapshot.revision())),
        _ => None,
    };
    loop {
        let (mut document, revision, needs_repair, is_current) = match first.take() {
            Some((document, revision)) => (document, revision, false, false),
            None => {
                let stored = read(catalog).await?;
                let (needs_repair, revision) = (stored.needs_repair(), stored.revision);
                let document = match stored.document {
                    Ok(document) => document,
                    Err(_) => {
                        let last = cached.replacement(revision);
                        completed(last, registry, max_payload).await
                    }
                };
                (document, revision, needs_repair, true)
            }
        };
        match change(&mut document).map_err(not_json)? || needs_repair {
            true => {}
            false if is_current => return Ok(None),
            false => continue,
        }
        let value = encode(&mut document, max_payload)?;
        // A repair may change every entry.
        let changed = match needs_repair {
            true => None,
            false => changed_names(names.iter().map(|name| name.as_str())),
        };
        match write(catalog, value, revision, changed).await? {
            Ok(written) => {
                return Ok(Some(Written {
                    document,
                    revision: written,
                    is_recreated: revision < cached_revision,
                }));
            }
            Err(error) if started.elapsed() >= timeout(&error) => {
                return Err(timed_out(error, started.elapsed()));
            }
            Err(error) => {
                let error = Visible(error);
                tracing::debug!(%error, "the catalog is read and written again");
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// The catalog with the agents of the registry, which it may lack.
///
/// A process reads the catalog when it needs it: the last valid one that it knows may be an old one, or none. Hosts of other
/// SDKs do not list their agents again.
async fn completed(
    last: CatalogDocument,
    registry: &Arc<KvBucket>,
    max_payload: usize,
) -> CatalogDocument {
    let completed = async {
        let mut completed = last.clone();
        let entries = registry::all_entries(registry).await?;
        completed.upsert(entries).map_err(not_json)?;
        encode(&mut completed, max_payload)?;
        Ok::<_, Error>(completed)
    };
    completed.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the catalog is repaired without the registry; each host lists its agents again");
        last
    })
}

/// Removes `names` from the catalog, which is `document` at `revision`. Returns the new catalog; `None` if it has
/// another revision by now.
pub(super) async fn remove_at(
    catalog: &KvBucket,
    mut document: CatalogDocument,
    names: &[AgentName],
    revision: u64,
) -> Result<Option<Written>> {
    document.remove(names.iter().map(AgentName::as_str));
    let value = encode(&mut document, catalog.connection().max_payload())?;
    let changed = changed_names(names.iter().map(AgentName::as_str));
    match write(catalog, value, revision, changed).await? {
        Ok(written) => Ok(Some(Written {
            document,
            revision: written,
            is_recreated: false,
        })),
        Err(error) if error.is_wrong_revision() => Ok(None),
        Err(error) => Err(error.into_error("write", CATALOG)),
    }
}

/// Writes `value` if the catalog has `revision`. The header with the names that the write has `changed` is left out if the
/// message has no room for it.
async fn write(
    catalog: &KvBucket,
    value: Bytes,
    revision: u64,
    changed: Option<String>,
) -> Result<Result<u64, StoreError>> {
    let room = catalog.connection().max_payload();
    let room = room.saturating_sub(value.len() + HEADER_OVERHEAD);
    let fits = |changed: &String| CHANGED_HEADER.len() + changed.len() + 4 <= room;
    match changed.filter(fits) {
        Some(changed) => {
            let header = (CHANGED_HEADER, changed.as_str());
            catalog
                .update_with_header(CATALOG_KEY, value, revision, header)
                .await
        }
        None => catalog.update(CATALOG_KEY, value, revision).await,
    }
}

/// Refuses `entries` that would let the `current` catalog exceed the server's limit.
pub(super) fn check_size(
    catalog: &KvBucket,
    current: &CatalogDocument,
    entries: impl Iterator<Item = CatalogEntry>,
) -> Result<()> {
    let mut document = current.clone();
    document.upsert(entries).map_err(not_json)?;
    encode(&mut document, catalog.connection().max_payload()).map(drop)
}

/// The value of `document`. Elements that are not listed are removed if the catalog has no room for them.
fn encode(document: &mut CatalogDocument, max_payload: usize) -> Result<Bytes> {
    loop {
        let value = Bytes::from(document.to_json().map_err(not_json)?);
        let size = value.len() + HEADER_OVERHEAD;
        if size <= max_payload {
            return Ok(value);
        }
        if !document.remove_unlisted() {
            return Err(too_large(size, document.len(), max_payload));
        }
    }
}

/// Reads the catalog.
///
/// # Errors
///
/// Those of [`KvBucket::read`].
pub(super) async fn read(catalog: &KvBucket) -> Result<Read> {
    let Some(stored) = catalog.read(CATALOG_KEY).await? else {
        return Ok(Read {
            document: Ok(CatalogDocument::default()),
            revision: 0,
            published: None,
            is_suspect: false,
        });
    };
    let document = match (stored.malformed, stored.value) {
        (Some(reason), _) => Err(malformed(reason)),
        (None, Some(value)) => parse(value).await,
        (None, None) => Ok(CatalogDocument::default()),
    };
    Ok(Read {
        document,
        revision: stored.revision,
        published: Some(stored.created),
        is_suspect: stored.is_suspect,
    })
}

/// # Errors
///
/// `storage_error` when `value` is not a catalog.
pub(super) async fn parse(value: Bytes) -> Result<CatalogDocument> {
    let parsed = if value.len() < MIN_BLOCKING_BYTES {
        CatalogDocument::parse(&value)
    } else {
        let parsing = tokio::task::spawn_blocking(move || CatalogDocument::parse(&value));
        // The runtime ends, or parsing has panicked.
        parsing
            .await
            .map_err(|error| Error::raised(ErrorCode::StorageError, error.to_string()))?
    };
    parsed.map_err(malformed)
}

/// The error of a stored value that is not a catalog, because of `cause`.
pub(super) fn malformed(cause: impl Into<BoxError>) -> Error {
    let remedy = format!("another peer overwrote key '{CATALOG_KEY}' of bucket '{CATALOG}'");
    problem::malformed("catalog", cause, &remedy)
}

fn too_large(size: usize, agents: usize, limit: usize) -> Error {
    Error::raised(
        ErrorCode::PayloadTooLarge,
        format!(
            "catalog too large: {agents} agents take {size} bytes, the server allows {limit}; \
             raise max_payload in the server's configuration (`oam mesh up` sets 8 MB), \
             or shorten descriptions and tags"
        ),
    )
    .with_detail("size", size)
    .with_detail("limit", limit)
    .with_detail("agents", agents)
}

fn timeout(error: &StoreError) -> Duration {
    if error.is_wrong_revision() {
        CONTENTION_TIMEOUT
    } else {
        FAILURE_TIMEOUT
    }
}

fn timed_out(error: StoreError, tried: Duration) -> Error {
    let (code, reason) = if error.is_wrong_revision() {
        let reason = "other processes keep changing it";
        (ErrorCode::Timeout, reason.to_owned())
    } else {
        (error.code(), error.to_string())
    };
    Error::raised(
        code,
        format!(
            "cannot write the catalog within {} s: {reason}; try again",
            tried.as_secs()
        ),
    )
    .with_source(error)
}

fn not_json(error: serde_json::Error) -> Error {
    Error::raised(
        ErrorCode::InvalidInput,
        format!("cannot write a catalog entry as JSON: {error}"),
    )
    .with_source(error)
}
