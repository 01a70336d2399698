//! Whose events were heard, and how far.

use std::collections::HashMap;

use openagentmesh_protocol::{ChunkHeaders, InstanceId};

/// Follows the numbering of each publisher in each process. Older peers do not name theirs, so that
/// their losses are not seen.
#[derive(Default)]
pub(super) struct SequenceTracker {
    heard: Vec<Producer>,
    /// Where each of them stands, by subject and process.
    places: HashMap<Box<str>, HashMap<InstanceId, usize>>,
    /// Where the one stands that was heard last: most often it is heard again.
    latest: usize,
}

struct Producer {
    subject: Box<str>,
    instance: InstanceId,
    /// The next number, unless events were lost here.
    next: Option<u64>,
}

impl SequenceTracker {
    /// How many are followed at once.
    const LIMIT: usize = 4096;

    pub(super) fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }

    /// Goes on behind a gap that was told already.
    pub(super) fn skip(&mut self) {
        for producer in &mut self.heard {
            producer.next = None;
        }
    }

    /// Takes in what arrived on `subject`, and says how many events it skipped.
    pub(super) fn follow(&mut self, subject: &str, headers: &ChunkHeaders<'_>) -> Option<u64> {
        let instance = headers.instance_id?;
        let Some(place) = self.place(subject, instance) else {
            if let Some(seq) = headers.seq
                && !headers.end
            {
                self.meet(subject, instance, seq);
            }
            return None;
        };
        let producer = &mut self.heard[place];
        let (expected, arrived) = (producer.next, headers.seq);
        if headers.end {
            self.forget(place);
        } else if let Some(seq) = arrived {
            producer.next = seq.checked_add(1);
            self.latest = place;
        }
        let lost = arrived?.checked_sub(expected?)?;
        (lost > 0).then_some(lost)
    }

    fn place(&self, subject: &str, instance: &str) -> Option<usize> {
        let latest = self.heard.get(self.latest);
        if latest.is_some_and(|latest| latest.is(subject, instance)) {
            return Some(self.latest);
        }
        self.places.get(subject)?.get(instance).copied()
    }

    fn meet(&mut self, subject: &str, instance: &str, seq: u64) {
        // What no process of this protocol could be called is not followed.
        let Ok(instance) = InstanceId::parse(instance) else {
            return;
        };
        if self.heard.len() >= Self::LIMIT {
            self.heard.clear();
            self.places.clear();
        }
        self.latest = self.heard.len();
        let processes = self.places.entry(subject.into()).or_default();
        processes.insert(instance.clone(), self.latest);
        self.heard.push(Producer {
            subject: subject.into(),
            instance,
            next: seq.checked_add(1),
        });
    }

    fn forget(&mut self, place: usize) {
        let gone = self.heard.swap_remove(place);
        if let Some(processes) = self.places.get_mut(&gone.subject) {
            processes.remove(&gone.instance);
            if processes.is_empty() {
                self.places.remove(&gone.subject);
            }
        }
        // The last one stands in its place now.
        if let Some(moved) = self.heard.get(place)
            && let Some(processes) = self.places.get_mut(&moved.subject)
        {
            processes.insert(moved.instance.clone(), place);
        }
    }
}

impl Producer {
    fn is(&self, subject: &str, instance: &str) -> bool {
        &*self.subject == subject && self.instance.as_str() == instance
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
    fn each_is_followed_by_itself() {
        let mut producers = SequenceTracker::default();
        let processes: Vec<_> = (0..5).map(|_| InstanceId::random()).collect();
        // They begin anywhere, and each subject has its own numbers.
        for (n, process) in processes.iter().enumerate() {
            for (subject, first) in [("a", 10), ("b", 20)] {
                let first = event(process.as_str(), first + n as u64, false);
                assert_eq!(producers.follow(subject, &first), None);
            }
        }
        for (n, process) in processes.iter().enumerate() {
            let next = event(process.as_str(), 11 + n as u64, false);
            assert_eq!(producers.follow("a", &next), None);
            let skips_two = event(process.as_str(), 23 + n as u64, false);
            assert_eq!(producers.follow("b", &skips_two), Some(2));
        }
        // Those that stay are found wherever they stand.
        for (n, process) in processes.iter().enumerate().take(4) {
            let end = event(process.as_str(), 12 + n as u64, true);
            assert_eq!(producers.follow("a", &end), None);
        }
        let skips_one = event(processes[4].as_str(), 17, false);
        assert_eq!(producers.follow("a", &skips_one), Some(1));
        let end = event(processes[4].as_str(), 20, true);
        assert_eq!(producers.follow("a", &end), Some(2));
        assert!(!producers.is_empty());
        for process in &processes {
            producers.follow("b", &event(process.as_str(), 0, true));
        }
        assert!(producers.is_empty());
        assert!(producers.places.is_empty());
    }

    #[test]
    fn what_was_told_already_is_not_told_again() {
        let mut producers = SequenceTracker::default();
        let process = InstanceId::random();
        producers.follow("a", &event(process.as_str(), 0, false));
        producers.skip();
        let later = event(process.as_str(), 100, false);
        assert_eq!(producers.follow("a", &later), None);
        let skips_one = event(process.as_str(), 102, false);
        assert_eq!(producers.follow("a", &skips_one), Some(1));
    }

    #[test]
    fn no_more_are_followed_than_there_is_room_for() {
        let mut producers = SequenceTracker::default();
        for _ in 0..=SequenceTracker::LIMIT {
            let process = InstanceId::random();
            producers.follow("a", &event(process.as_str(), 0, false));
            assert!(producers.heard.len() <= SequenceTracker::LIMIT);
        }
    }
}
