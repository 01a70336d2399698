//! Which questions are asked, and when.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The wait after a question about one subject before the next question about it.
pub(super) const QUESTION_INTERVAL: Duration = Duration::from_secs(1);

/// The subjects of questions, with what is known of each. A notice is only a reason to ask: any number of notices leads
/// to one question about a subject at a time, and to one in each [`QUESTION_INTERVAL`]. After the last notice there is
/// a second question, because a notice may arrive before the server has noticed the death.
pub(super) struct Suspects<K, V>(HashMap<K, Suspect<V>>);

struct Suspect<V> {
    known: V,
    /// Whether a question is under way.
    is_asking: bool,
    /// Whether a question is to be asked.
    is_suspected: bool,
    /// Whether a second question follows.
    is_asked_again: bool,
    /// The time from which on the next question may be asked.
    next_question: Instant,
}

impl<K: Clone + Eq + Hash, V: Clone> Suspects<K, V> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a subject with what is known of it.
    pub(super) fn add(&mut self, key: K, known: V) {
        self.0.entry(key).or_insert_with(|| Suspect {
            known,
            is_asking: false,
            is_suspected: false,
            is_asked_again: false,
            next_question: Instant::now(),
        });
    }

    pub(super) fn set_known<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, known: V)
    where
        K: Borrow<Q>,
    {
        if let Some(suspect) = self.0.get_mut(key) {
            suspect.known = known;
        }
    }

    /// A notice concerns `key`. Ignored unless the subject was added.
    pub(super) fn suspect<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(suspect) = self.0.get_mut(key) {
            suspect.note();
        }
    }

    /// A notice concerns the subjects of which `is_known` is known.
    pub(super) fn suspect_where(&mut self, is_known: impl Fn(&V) -> bool) {
        let suspects = self.0.values_mut();
        suspects
            .filter(|suspect| is_known(&suspect.known))
            .for_each(Suspect::note);
    }

    /// A subject about which a question is due, with what is known of it. The question must be
    /// [answered](Self::answered).
    pub(super) fn next_due(&mut self) -> Option<(K, V)> {
        let now = Instant::now();
        let (key, suspect) = self.0.iter_mut().find(|(_, suspect)| {
            suspect.is_suspected && !suspect.is_asking && suspect.next_question <= now
        })?;
        suspect.is_asking = true;
        suspect.is_suspected = false;
        Some((key.clone(), suspect.known.clone()))
    }

    /// The question about `key` is answered, or cannot be answered.
    pub(super) fn answered<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(suspect) = self.0.get_mut(key) {
            suspect.is_asking = false;
            suspect.is_suspected |= std::mem::take(&mut suspect.is_asked_again);
            suspect.next_question = Instant::now() + QUESTION_INTERVAL;
        }
    }

    /// The question about `key` is asked at `time`: nothing can be said before.
    pub(super) fn postponed<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, time: Instant)
    where
        K: Borrow<Q>,
    {
        if let Some(suspect) = self.0.get_mut(key) {
            suspect.is_asking = false;
            suspect.is_suspected = true;
            suspect.next_question = time;
        }
    }

    /// Removes the subjects that `keep` does not select, except those about which a question is under way or soon due.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        let now = Instant::now();
        self.0.retain(|key, suspect| {
            suspect.is_asking || suspect.is_suspected || suspect.next_question > now || keep(key)
        });
    }
}

impl<V> Suspect<V> {
    fn note(&mut self) {
        self.is_suspected = true;
        self.is_asked_again = true;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn notices_lead_to_one_question_in_each_interval() {
        let mut suspects = Suspects::<String, u32>::new();
        suspects.add("a".to_owned(), 1);
        assert!(suspects.next_due().is_none(), "no notice");
        let mut asked = 0;
        for _ in 0..100 {
            for _ in 0..100 {
                suspects.suspect("a");
                suspects.suspect("unknown");
                suspects.suspect_where(|&known| known == 1);
            }
            while let Some((key, _)) = suspects.next_due() {
                asked += 1;
                assert!(suspects.next_due().is_none(), "one at a time");
                suspects.answered(&key);
            }
            advance(QUESTION_INTERVAL / 10).await;
        }
        assert_eq!(asked, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn postponed_question_is_asked_at_its_time() {
        let mut suspects = Suspects::<String, ()>::new();
        suspects.add("a".to_owned(), ());
        suspects.suspect("a");
        assert!(suspects.next_due().is_some());
        suspects.postponed("a", Instant::now() + 5 * QUESTION_INTERVAL);
        for _ in 0..5 {
            suspects.retain(|_| false);
            assert!(suspects.next_due().is_none());
            advance(QUESTION_INTERVAL).await;
        }
        assert!(suspects.next_due().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn notice_leads_to_two_questions_after_the_last_one() {
        let mut suspects = Suspects::<String, ()>::new();
        suspects.add("a".to_owned(), ());
        suspects.suspect("a");
        assert!(suspects.next_due().is_some());
        // During a question.
        suspects.suspect("a");
        suspects.retain(|_| false);
        suspects.answered("a");
        for _ in 0..2 {
            assert!(suspects.next_due().is_none());
            advance(QUESTION_INTERVAL).await;
            suspects.retain(|_| false);
            let asked = suspects.next_due();
            suspects.answered("a");
            if asked.is_none() {
                break;
            }
        }
        advance(QUESTION_INTERVAL).await;
        assert!(suspects.next_due().is_none());
        suspects.retain(|_| false);
        assert_eq!(suspects.len(), 0);
    }
}
