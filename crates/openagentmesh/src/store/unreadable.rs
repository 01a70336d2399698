//! Stored messages on which the client loses its connection.

use std::collections::BTreeSet;

use super::bucket::Bucket;
use super::handle::Handle;
use super::reads::is_denied;
use super::stored_message::Find;
use crate::error::Result;
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
}

impl<H: Handle> Bucket<H> {
    /// The number of known messages on which the client loses its connection; 0 once none of them is stored any longer, and
    /// for a user who may not read single messages.
    ///
    /// # Errors
    ///
    /// Those of [`Bucket::message`], except `connection_denied`.
    pub(super) async fn count_unreadable(&self) -> Result<u64> {
        let known = || self.unreadable.0.lock().first().copied();
        while let Some(sequence) = known() {
            match self.message("read", Find::Sequence(sequence)).await {
                Ok(Some(message)) if message.is_suspect => {
                    return Ok(self.unreadable.0.lock().len() as u64);
                }
                Ok(_) => self.unreadable.0.lock().remove(&sequence),
                Err(error) if is_denied(&error) => return Ok(0),
                Err(error) => return Err(error),
            };
        }
        Ok(0)
    }
}
