//! Stored messages on which the client loses its connection.

use std::collections::BTreeSet;

use crate::util::sync::Mutex;

/// The sequences of such messages that this process has met in a bucket. As long as one of them is stored, a list does not
/// receive it again: a process lists some buckets twice a second.
#[derive(Default)]
pub(super) struct Unreadable(Mutex<BTreeSet<u64>>);

impl Unreadable {
    /// The number of messages that are remembered. One is enough for a list to be careful.
    const MAX_REMEMBERED: usize = 64;

    pub(super) fn add(&self, sequence: u64) {
        let mut known = self.0.lock();
        if known.len() < Self::MAX_REMEMBERED {
            known.insert(sequence);
        }
    }

    pub(super) fn remove(&self, sequence: u64) {
        self.0.lock().remove(&sequence);
    }

    pub(super) fn sequences(&self) -> Vec<u64> {
        self.0.lock().iter().copied().collect()
    }
}
