//! Replays each corpus, and a fixed number of mutations of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use fuzz::{Corpus, TARGETS, check, fuzz};

/// Mutated inputs of each target.
const MUTATIONS: u64 = 2_000;

#[test]
fn corpus_is_parsed_without_a_fault() {
    for target in TARGETS {
        for (name, input) in Corpus::read(target.name).unwrap().inputs {
            check(target, &input)
                .unwrap_or_else(|reason| panic!("{}/{name}: {reason}", target.name));
        }
    }
}

#[test]
fn mutated_corpus_is_parsed_without_a_fault() {
    for target in TARGETS {
        let corpus = Corpus::read(target.name).unwrap();
        let fuzzed = fuzz(target, &corpus, 1, |inputs| inputs == MUTATIONS);
        fuzzed.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
