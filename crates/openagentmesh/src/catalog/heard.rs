//! What a process knows of the writes of the catalog without their values: revisions, and the names that they changed.

use std::collections::BTreeSet;

use crate::store::Changed;

/// The number of changed names that are remembered until the next read. After more, every entry may have changed.
const MAX_NAMES: usize = 1024;
/// The number of reads in a row without the last write that were answered before the write counts as removed.
const MAX_SHORT_READS: u32 = 4;

/// The writes of the catalog that a process has heard of. Written by the cache's watch and its reads, read by all who
/// decide whether to read the catalog.
#[derive(Debug)]
pub(super) struct Heard {
    /// The revision of the last write, or an upper bound of it.
    revision: u64,
    /// Whether `revision` is that of a write, rather than an upper bound.
    is_exact: bool,
    /// The revision up to which the cached state has every write.
    read: u64,
    /// The agents whose entries the writes after `read` have changed.
    changed: Names,
    /// Whether the cached state may be that of another bucket, or of an earlier state of the bucket.
    is_doubtful: bool,
    /// The number of times that revisions have begun anew.
    generation: u64,
    /// The number of reads in a row that lacked the last write.
    short_reads: u32,
}

#[derive(Debug)]
enum Names {
    Known(BTreeSet<Box<str>>),
    /// Every entry may have changed.
    Unknown,
}

/// The state of [`Heard`] when a read begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    generation: u64,
    revision: u64,
    is_exact: bool,
}

/// What the result of a read is to the cached state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It counts if it is newer.
    Apply,
    /// It counts, whatever its revision is.
    Replace,
    /// Revisions have begun anew since the read began.
    Discard,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            revision: 0,
            is_exact: true,
            read: 0,
            changed: Names::Known(BTreeSet::new()),
            is_doubtful: false,
            generation: 0,
            short_reads: 0,
        }
    }

    /// Whether the cached state may lack a write.
    pub(super) fn is_stale(&self) -> bool {
        self.is_doubtful || self.revision > self.read
    }

    /// Whether a write that the cached state lacks may have changed an entry for whose name `is_meant` holds.
    pub(super) fn may_concern(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.is_stale()
            && match &self.changed {
                _ if self.is_doubtful => true,
                Names::Known(names) => names.iter().any(|name| is_meant(name)),
                Names::Unknown => true,
            }
    }

    /// Records the write at `revision`. Returns whether it is new.
    pub(super) fn hear(&mut self, revision: u64, changed: Option<&Changed>) -> bool {
        let known = self.revision.max(self.read);
        if revision <= known {
            return false;
        }
        // The server has checked that nothing was written in between.
        let changed = changed.filter(|changed| changed.follows == known);
        match (&mut self.changed, changed) {
            (Names::Known(names), Some(changed)) => {
                names.extend(changed.names.split(' ').map(Box::from));
                if names.len() > MAX_NAMES {
                    self.changed = Names::Unknown;
                }
            }
            _ => self.changed = Names::Unknown,
        }
        self.revision = revision;
        self.is_exact = true;
        self.short_reads = 0;
        true
    }

    /// Records that there may be writes up to `revision`. Returns whether that is new.
    pub(super) fn hear_up_to(&mut self, revision: u64) -> bool {
        if revision <= self.revision.max(self.read) {
            return false;
        }
        self.revision = revision;
        self.is_exact = false;
        self.changed = Names::Unknown;
        true
    }

    /// Records that the cached state may be of another bucket, whose revisions cannot be compared with those before.
    pub(super) fn doubt(&mut self) {
        *self = Self {
            is_doubtful: true,
            changed: Names::Unknown,
            generation: self.generation + 1,
            ..Self::new()
        };
    }

    /// Records that the cached state was replaced by that of `revision`, with which revisions have begun anew.
    pub(super) fn replaced(&mut self, revision: u64) {
        *self = Self {
            revision,
            read: revision,
            generation: self.generation + 1,
            ..Self::new()
        };
    }

    /// Records that the cached state has the write at `revision`, which this process has made.
    pub(super) fn written(&mut self, revision: u64) {
        self.has_read_up_to(revision);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            generation: self.generation,
            revision: self.revision,
            is_exact: self.is_exact,
        }
    }

    /// Records the result of a read that began at `mark`, and returns what it is to the cached state.
    pub(super) fn finish_read(&mut self, mark: Mark, revision: u64) -> Outcome {
        if mark.generation != self.generation {
            return Outcome::Discard;
        }
        let outcome = match self.is_doubtful {
            true => Outcome::Replace,
            false => Outcome::Apply,
        };
        self.is_doubtful = false;
        let covered = if mark.is_exact && revision < mark.revision {
            // The server has fewer writes than the process has heard of, or the last one was removed.
            self.short_reads += 1;
            match self.short_reads < MAX_SHORT_READS {
                true => revision,
                false => mark.revision,
            }
        } else {
            self.short_reads = 0;
            revision.max(mark.revision)
        };
        self.has_read_up_to(covered);
        outcome
    }

    fn has_read_up_to(&mut self, revision: u64) {
        self.read = self.read.max(revision);
        // Names stay while there is a later write: which of them are its own is not known.
        if self.revision <= self.read {
            self.changed = Names::Known(BTreeSet::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(follows: u64, names: &str) -> Changed {
        let names = names.into();
        Changed { follows, names }
    }

    fn read(heard: &mut Heard, revision: u64) -> Outcome {
        heard.finish_read(heard.mark(), revision)
    }

    #[test]
    fn writes_that_follow_each_other_concern_the_agents_that_they_name() {
        let mut heard = Heard::new();
        assert_eq!(read(&mut heard, 7), Outcome::Apply);
        assert!(!heard.hear(7, None), "it was read");
        assert!(heard.hear(8, Some(&changed(7, "a b"))));
        assert!(heard.hear(9, Some(&changed(8, "c"))));
        for (name, is_concerned) in [("a", true), ("b", true), ("c", true), ("d", false)] {
            assert_eq!(heard.may_concern(|other| other == name), is_concerned);
        }
        assert!(heard.is_stale());
        read(&mut heard, 9);
        assert!(!heard.is_stale() && !heard.may_concern(|_| true));
    }

    #[test]
    fn write_without_names_or_after_a_gap_may_concern_every_agent() {
        for next in [None, Some(changed(7, "a")), Some(changed(9, "a"))] {
            let mut heard = Heard::new();
            read(&mut heard, 8);
            heard.hear(10, next.as_ref());
            assert!(heard.may_concern(|name| name == "z"), "{next:?}");
            heard.hear(11, Some(&changed(10, "b")));
            assert!(heard.may_concern(|name| name == "z"), "{next:?}");
        }
    }

    #[test]
    fn too_many_names_may_concern_every_agent() {
        let mut heard = Heard::new();
        for number in 0..2 * MAX_NAMES as u64 {
            heard.hear(
                number + 1,
                Some(&changed(number, &format!("agent{number}"))),
            );
        }
        assert!(heard.may_concern(|name| name == "other"));
    }

    #[test]
    fn read_that_lacks_the_last_write_is_repeated_a_few_times() {
        let mut heard = Heard::new();
        heard.hear(5, None);
        for _ in 1..MAX_SHORT_READS {
            assert_eq!(read(&mut heard, 4), Outcome::Apply);
            assert!(heard.is_stale());
        }
        read(&mut heard, 4);
        assert!(!heard.is_stale(), "the write was removed");
    }

    #[test]
    fn read_that_began_before_a_write_leaves_the_cache_stale() {
        let mut heard = Heard::new();
        heard.hear(5, None);
        let mark = heard.mark();
        heard.hear(6, Some(&changed(5, "a")));
        heard.finish_read(mark, 5);
        assert!(heard.is_stale());
        heard.written(7);
        assert!(!heard.is_stale());
        assert!(!heard.hear(6, None) && !heard.hear(7, None));
    }

    #[test]
    fn upper_bound_is_covered_by_any_later_read() {
        let mut heard = Heard::new();
        assert!(heard.hear_up_to(9));
        assert!(heard.may_concern(|_| false), "every agent");
        read(&mut heard, 3);
        assert!(!heard.is_stale() && !heard.hear_up_to(9));
    }

    #[test]
    fn read_of_a_recreated_bucket_replaces_the_state() {
        let mut heard = Heard::new();
        heard.hear(50, None);
        let old = heard.mark();
        heard.doubt();
        assert!(heard.is_stale());
        assert_eq!(heard.finish_read(old, 50), Outcome::Discard);
        heard.hear(1, None);
        assert_eq!(read(&mut heard, 1), Outcome::Replace);
        assert!(!heard.is_stale());
        heard.replaced(1);
        assert!(!heard.hear(1, None) && heard.hear(2, None));
    }
}
