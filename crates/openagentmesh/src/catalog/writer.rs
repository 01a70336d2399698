//! Changing the catalog without losing what others change at the same time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::bucket::CATALOG_KEY;
use openagentmesh_protocol::{CatalogDocument, CatalogEntry, ErrorCode};
use rand::RngExt;
use tokio::time::Instant;

use super::parse_catalog;
use super::snapshot::CatalogSnapshot;
use crate::error::{Error, Result};
use crate::store::{Bucket, Change, HEADER_OVERHEAD, StoreError};

/// How long to try while others win every race.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to try while the server does not take the write for another reason.
const PATIENCE_WITH_FAULTS: Duration = Duration::from_secs(5);
/// The first pause after a lost race lasts at most this long, each further one up to twice that.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The catalog as it was just written.
pub(super) struct Written {
    pub(super) document: CatalogDocument,
    pub(super) revision: u64,
    /// Whether its bucket is another one than what was known of it.
    pub(super) begins_again: bool,
}

/// Applies `change` to the catalog by compare-and-swap, until it holds. Returns what the catalog is now,
/// with its revision, if it was written.
///
/// The first round starts from what is `known` of it, the others from what it is. `change` says whether
/// it changed anything, and runs again on a newer catalog whenever another writer was faster.
pub(super) async fn edit(
    catalog: &Bucket,
    mut known: Option<Arc<CatalogSnapshot>>,
    mut change: impl FnMut(&mut CatalogDocument) -> serde_json::Result<bool>,
) -> Result<Option<Written>> {
    let max_payload = catalog.connection().client.max_payload();
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let known_revision = known.as_ref().map_or(0, |listing| listing.revision());
    loop {
        let was_known = known.take();
        let is_as_it_is = was_known.is_none();
        let (mut document, revision) = match was_known {
            Some(listing) => (listing.document().clone(), listing.revision()),
            None => read(catalog).await?,
        };
        match change(&mut document).map_err(not_json)? {
            true => {}
            false if is_as_it_is => return Ok(None),
            false => continue,
        }
        let value = encode(&document, max_payload)?;
        let update = Change::Update(value, revision);
        match catalog.write(CATALOG_KEY, update).await? {
            Ok(written) => {
                return Ok(Some(Written {
                    document,
                    revision: written,
                    begins_again: revision < known_revision,
                }));
            }
            // Another writer was faster, or the server does not take it for now: reading again tells.
            Err(error) if started.elapsed() >= patience(&error) => {
                return Err(gave_up(error, started.elapsed()));
            }
            Err(error) => tracing::debug!(%error, "the catalog is read and written again"),
        }
        let nap = rand::rng().random_range(Duration::ZERO..pause);
        tokio::time::sleep(nap).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Refuses `entries` that the server could not carry together with those that are `known`.
pub(super) fn check_size(
    catalog: &Bucket,
    known: &CatalogSnapshot,
    entries: impl Iterator<Item = CatalogEntry>,
) -> Result<()> {
    let mut document = known.document().clone();
    document.upsert(entries).map_err(not_json)?;
    encode(&document, catalog.connection().client.max_payload()).map(drop)
}

fn encode(document: &CatalogDocument, max_payload: usize) -> Result<Bytes> {
    let value = Bytes::from(document.to_json().map_err(not_json)?);
    let size = value.len() + HEADER_OVERHEAD;
    if size > max_payload {
        return Err(too_large(size, document.len(), max_payload));
    }
    Ok(value)
}

/// The catalog and the revision that a write of it expects; 0 where there never was one.
pub(super) async fn read(catalog: &Bucket) -> Result<(CatalogDocument, u64)> {
    let Some(stored) = catalog.read(CATALOG_KEY).await? else {
        return Ok((CatalogDocument::default(), 0));
    };
    let document = match stored.value {
        Some(value) => parse_catalog(&value)?,
        None => CatalogDocument::default(),
    };
    Ok((document, stored.revision))
}

fn too_large(size: usize, agents: usize, limit: usize) -> Error {
    Error::raised(
        ErrorCode::PayloadTooLarge,
        format!(
            "the catalog would have {agents} agents in {size} bytes, and the server carries at \
             most {limit}; raise max_payload in the server's configuration (`oam mesh up` sets \
             8 MB), or shorten descriptions and tags"
        ),
    )
    .with_detail("size", size)
    .with_detail("limit", limit)
    .with_detail("agents", agents)
}

fn patience(error: &StoreError) -> Duration {
    if error.is_wrong_revision() {
        PATIENCE
    } else {
        PATIENCE_WITH_FAULTS
    }
}

fn gave_up(error: StoreError, tried: Duration) -> Error {
    let (code, reason) = if error.is_wrong_revision() {
        let reason = "other processes keep changing it";
        (ErrorCode::Timeout, reason.to_owned())
    } else {
        (ErrorCode::ConnectionFailed, error.to_string())
    };
    Error::raised(
        code,
        format!(
            "the catalog could not be written within {} s: {reason}; try again",
            tried.as_secs()
        ),
    )
    .with_source(error)
}

fn not_json(error: serde_json::Error) -> Error {
    Error::raised(
        ErrorCode::InvalidInput,
        format!("a catalog entry cannot be JSON: {error}"),
    )
    .with_source(error)
}
