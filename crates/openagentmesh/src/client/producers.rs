//! Whose events were heard, and how far.

use std::collections::HashMap;

use openagentmesh_protocol::{ChunkHeaders, InstanceId};

/// Follows the numbering of each publisher in each process. Older peers do not name theirs, so that
/// their losses are not seen.
#[derive(Default)]
pub(super) struct Producers {
    /// By subject and process: the next number, unless events were lost here.
    heard: HashMap<Box<str>, HashMap<InstanceId, Option<u64>>>,
    len: usize,
}

impl Producers {
    /// How many are followed at once.
    const LIMIT: usize = 4096;

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Goes on behind a gap that was told already.
    pub(super) fn skip(&mut self) {
        let numbers = self.heard.values_mut().flat_map(HashMap::values_mut);
        numbers.for_each(|next| *next = None);
    }

    /// Takes in what arrived on `subject`, and says how many events it skipped.
    pub(super) fn follow(&mut self, subject: &str, headers: &ChunkHeaders<'_>) -> Option<u64> {
        let instance = headers.instance_id?;
        let known = self
            .heard
            .get_mut(subject)
            .and_then(|processes| processes.get_mut(instance));
        let lost = match (&known, headers.seq) {
            (Some(Some(expected)), Some(seq)) => {
                seq.checked_sub(*expected).filter(|lost| *lost > 0)
            }
            _ => None,
        };
        match (known, headers.seq) {
            (Some(_), _) if headers.end => self.forget(subject, instance),
            (Some(next), Some(seq)) => *next = seq.checked_add(1),
            (None, Some(seq)) if !headers.end => self.meet(subject, instance, seq),
            _ => {}
        }
        lost
    }

    fn meet(&mut self, subject: &str, instance: &str, seq: u64) {
        // What no process of this protocol could be called is not followed.
        let Ok(instance) = InstanceId::parse(instance) else {
            return;
        };
        if self.len >= Self::LIMIT {
            self.heard.clear();
            self.len = 0;
        }
        let processes = self.heard.entry(subject.into()).or_default();
        processes.insert(instance, seq.checked_add(1));
        self.len += 1;
    }

    fn forget(&mut self, subject: &str, instance: &str) {
        if let Some(processes) = self.heard.get_mut(subject) {
            processes.remove(instance);
            self.len -= 1;
            if processes.is_empty() {
                self.heard.remove(subject);
            }
        }
    }
}
