//! Gaps in the numbering of events.

use std::collections::HashMap;

use openagentmesh_protocol::{ChunkHeaders, InstanceId};

/// Follows the sequence numbers of every producer: of each subject, and of each process that publishes to it.
/// Older peers do not name their process. Their losses cannot be detected.
#[derive(Default)]
pub(super) struct SequenceTracker {
    /// The next number of each producer, by process and subject; `None` after a gap that was reported.
    next: HashMap<Box<str>, Option<u64>>,
    /// The key of the last event. Kept, so that no event allocates one.
    key: String,
}

impl SequenceTracker {
    /// The maximum number of producers. At the limit a new producer clears the map.
    const MAX_PRODUCERS: usize = 4096;

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Accepts any next number of every producer: the gap before it was reported already.
    pub(super) fn skip_gap(&mut self) {
        self.next.values_mut().for_each(|next| *next = None);
    }

    /// Takes in an event, or the end marker of a producer. Returns how many events before it were lost.
    pub(super) fn observe(&mut self, subject: &str, headers: &ChunkHeaders<'_>) -> Option<u64> {
        let instance = headers.instance_id?;
        self.key.clear();
        // Neither an instance id nor a subject has a space.
        self.key.extend([instance, " ", subject]);
        let Some(next) = self.next.get_mut(self.key.as_str()) else {
            if let (Some(seq), false) = (headers.seq, headers.end) {
                self.start(instance, seq);
            }
            return None;
        };
        let expected = *next;
        if headers.end {
            self.next.remove(self.key.as_str());
        } else if let Some(seq) = headers.seq {
            *next = seq.checked_add(1);
        }
        let lost = headers.seq?.checked_sub(expected?)?;
        (lost > 0).then_some(lost)
    }

    /// Follows the producer of `key` from its event `seq` on.
    fn start(&mut self, instance: &str, seq: u64) {
        if InstanceId::parse(instance).is_err() {
            return;
        }
        if self.next.len() >= Self::MAX_PRODUCERS {
            self.next.clear();
        }
        self.next
            .insert(self.key.as_str().into(), seq.checked_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(instance: &str, seq: u64, end: bool) -> ChunkHeaders<'_> {
        ChunkHeaders {
            seq: Some(seq),
            end,
            instance_id: Some(instance),
            ..ChunkHeaders::default()
        }
    }

    #[test]
    fn producers_are_followed_independently() {
        let mut tracker = SequenceTracker::default();
        let processes: Vec<_> = (0..5).map(|_| InstanceId::random()).collect();
        // The first number can be any, and each subject has its own numbers.
        for (n, process) in processes.iter().enumerate() {
            for (subject, first) in [("a", 10), ("b", 20)] {
                let first = event(process.as_str(), first + n as u64, false);
                assert_eq!(tracker.observe(subject, &first), None);
            }
        }
        for (n, process) in processes.iter().enumerate() {
            let next = event(process.as_str(), 11 + n as u64, false);
            assert_eq!(tracker.observe("a", &next), None);
            let skips_two = event(process.as_str(), 23 + n as u64, false);
            assert_eq!(tracker.observe("b", &skips_two), Some(2));
        }
        for (n, process) in processes.iter().enumerate().take(4) {
            let end = event(process.as_str(), 12 + n as u64, true);
            assert_eq!(tracker.observe("a", &end), None);
        }
        let skips_one = event(processes[4].as_str(), 17, false);
        assert_eq!(tracker.observe("a", &skips_one), Some(1));
        let end = event(processes[4].as_str(), 20, true);
        assert_eq!(tracker.observe("a", &end), Some(2));
        assert!(!tracker.is_empty());
        for process in &processes {
            tracker.observe("b", &event(process.as_str(), 0, true));
        }
        assert!(tracker.is_empty());
    }

    #[test]
    fn reported_gap_is_not_reported_again() {
        let mut tracker = SequenceTracker::default();
        let process = InstanceId::random();
        tracker.observe("a", &event(process.as_str(), 0, false));
        tracker.skip_gap();
        let later = event(process.as_str(), 100, false);
        assert_eq!(tracker.observe("a", &later), None);
        let skips_one = event(process.as_str(), 102, false);
        assert_eq!(tracker.observe("a", &skips_one), Some(1));
    }

    #[test]
    fn producer_beyond_the_limit_clears_the_map() {
        let mut tracker = SequenceTracker::default();
        for _ in 0..=SequenceTracker::MAX_PRODUCERS {
            let process = InstanceId::random();
            tracker.observe("a", &event(process.as_str(), 0, false));
            assert!(tracker.next.len() <= SequenceTracker::MAX_PRODUCERS);
        }
    }
}
