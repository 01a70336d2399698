//! The state of the catalog cache.

use std::sync::Arc;

use openagentmesh_protocol::{CatalogDocument, ErrorCode};
use tokio::sync::watch;

use super::snapshot::CatalogSnapshot;
use crate::error::Error;

/// The state of the catalog cache.
#[derive(Clone)]
pub(crate) enum CacheState {
    /// The catalog has not been read yet.
    Loading,
    /// The catalog could not be read since the process connected.
    Unavailable {
        /// Whether the server does not permit it.
        is_denied: bool,
    },
    /// The catalog at the last revision that was read.
    Ready(Arc<CatalogSnapshot>),
    /// The stored value is not a catalog: the last valid one stays in use.
    Malformed(Malformed),
}

/// A stored value that is not a catalog.
#[derive(Clone)]
pub(crate) struct Malformed {
    /// The last valid catalog that this process has read.
    last: Option<Arc<CatalogSnapshot>>,
    /// The revision of the malformed value.
    pub(super) revision: u64,
    /// The highest revision up to which every value after the last valid one is known to be malformed.
    known_to: u64,
    /// The problem of the value.
    problem: Arc<str>,
}

impl CacheState {
    /// The last valid catalog.
    pub(crate) fn snapshot(&self) -> Option<&Arc<CatalogSnapshot>> {
        match self {
            Self::Ready(snapshot) => Some(snapshot),
            Self::Malformed(malformed) => malformed.last.as_ref(),
            Self::Loading | Self::Unavailable { .. } => None,
        }
    }

    /// The error of the stored value, if it is not a catalog.
    pub(crate) fn problem(&self) -> Option<Error> {
        match self {
            Self::Malformed(malformed) => {
                let message = malformed.problem.to_string();
                Some(Error::raised(ErrorCode::StorageError, message))
            }
            _ => None,
        }
    }

    /// The revision that the state was read at, of a valid or malformed value.
    pub(super) fn revision(&self) -> Option<u64> {
        match self {
            Self::Malformed(malformed) => Some(malformed.revision),
            Self::Ready(snapshot) => Some(snapshot.revision()),
            Self::Loading | Self::Unavailable { .. } => None,
        }
    }

    /// The document to write in place of a malformed value with `revision`: the last valid one if no other valid one
    /// was stored since, else an empty one, to which each host adds its agents.
    pub(super) fn replacement(&self, revision: u64) -> CatalogDocument {
        let known_to = match self {
            Self::Malformed(malformed) => malformed.known_to,
            Self::Ready(snapshot) => snapshot.revision(),
            Self::Loading | Self::Unavailable { .. } => return CatalogDocument::default(),
        };
        match self.snapshot() {
            Some(last) if last.revision() < revision && revision <= known_to + 1 => {
                last.document().clone()
            }
            _ => CatalogDocument::default(),
        }
    }

    /// The state after the malformed value at `revision`.
    fn malformed(&self, revision: u64, problem: &Error) -> Self {
        let last = self.snapshot().cloned();
        let known_to = match self {
            Self::Malformed(before) => before.known_to,
            _ => last.as_ref().map_or(0, |last| last.revision()),
        };
        Self::Malformed(Malformed {
            last,
            revision,
            known_to: if revision == known_to + 1 {
                revision
            } else {
                known_to
            },
            problem: problem.message().into(),
        })
    }
}

/// Stores a catalog if it is newer than the current state.
pub(super) fn apply(state: &watch::Sender<CacheState>, snapshot: Arc<CatalogSnapshot>) {
    let revision = snapshot.revision();
    let newer = CacheState::Ready(snapshot);
    let mut was_malformed = false;
    state.send_if_modified(|state| {
        let is_newer = state.revision().is_none_or(|current| revision > current);
        if is_newer {
            was_malformed = matches!(state, CacheState::Malformed(_));
            *state = newer;
        }
        is_newer
    });
    report_valid(was_malformed);
}

/// Stores a catalog of another bucket, whose revisions cannot be compared with that of the state.
pub(super) fn replace(state: &watch::Sender<CacheState>, snapshot: Arc<CatalogSnapshot>) {
    let newer = CacheState::Ready(snapshot);
    let before = state.send_replace(newer);
    report_valid(matches!(before, CacheState::Malformed(_)));
}

/// Records that the value at `revision` is malformed, unless the state is newer and not to be replaced. The first of
/// several in a row is logged as a warning.
pub(super) fn set_malformed(
    state: &watch::Sender<CacheState>,
    revision: u64,
    problem: &Error,
    replaces: bool,
) {
    let mut is_first = false;
    let is_new = state.send_if_modified(|state| {
        let current = state.revision();
        let is_newer = current.is_none_or(|current| revision > current);
        let is_new = is_newer || (replaces && current != Some(revision));
        if is_new {
            is_first = !matches!(state, CacheState::Malformed(_));
            *state = state.malformed(revision, problem);
        }
        is_new
    });
    if is_first {
        tracing::warn!(
            error = %problem,
            "the last valid catalog stays in use until a host has repaired the stored one"
        );
    } else if is_new {
        tracing::debug!(error = %problem, "the stored catalog is still malformed");
    }
}

fn report_valid(was_malformed: bool) {
    if was_malformed {
        tracing::info!("the stored catalog is valid again");
    }
}
