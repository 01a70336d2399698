//! Stored messages on which the client loses its connection.

use std::collections::BTreeSet;

use crate::util::sync::Mutex;

/// The sequences of such messages that this process has met in a bucket. As long as one of them is stored, lists and watches
/// do not receive it again.
#[derive(Default)]
pub(super) struct Unreadable(Mutex<BTreeSet<u64>>);

impl Unreadable {
    /// The number of messages that are remembered. One is enough for a list to be careful.
    const MAX: usize = 64;

    pub(super) fn add(&self, sequence: u64) {
        let mut known = self.0.lock();
        if known.len() < Self::MAX {
            known.insert(sequence);
        }
    }

    pub(super) fn remove(&self, sequence: u64) {
        self.0.lock().remove(&sequence);
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.0.lock().first().copied()
    }

    pub(super) fn len(&self) -> u64 {
        self.0.lock().len() as u64
    }
}
