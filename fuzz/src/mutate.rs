//! Repeatable mutations of the inputs of a corpus.

use crate::corpus::Corpus;

/// Bytes of a mutated input at most.
const MAX_INPUT_BYTES: usize = 64 * 1024;

/// Mutations of one input at most.
const MAX_MUTATIONS: usize = 8;

/// Repetitions of a part of an input at most.
const MAX_REPETITIONS: usize = 200;

/// Texts that parsers treat in a way of their own.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-0",
    "-1",
    "1e400",
    "1.0",
    "18446744073709551616",
    "9223372036854775807",
    "4294967296",
    "{\"\":",
    "[[",
    "]}",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "\u{feff}",
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\t",
    ": ",
    "*",
    ">",
    "..",
    "$JS.API.",
    "X-Mesh-Status: error\r\n",
    "X-Mesh-Stream-Seq: -1\r\n",
    "X-Mesh-Timeout-Ms: 1e30\r\n",
    "\"name\":",
    "\"channel\":\"a\",",
    "\"$ref\":\"#\"",
    "\"$ref\":\"#/$defs/a\"",
    "\"$defs\":{\"a\":{\"$ref\":\"#\"}}",
    "\"type\":\"object\"",
    "\"type\":[\"null\",\"string\"]",
    "\"properties\":{\"a\":{}}",
    "\"required\":[\"a\",\"a\"]",
    "\"items\":",
    "\"prefixItems\":[{}]",
    "\"anyOf\":[{},{\"type\":\"null\"}]",
    "\"oneOf\":[]",
    "\"allOf\":[{\"$ref\":\"#\"}]",
    "\"not\":",
    "\"enum\":[null,1,\"a\"]",
    "\"const\":{}",
    "\"pattern\":\"(a+)+$\"",
    "\"pattern\":\"[\"",
    "\"additionalProperties\":false",
    "\"unevaluatedProperties\":false",
    "\"minimum\":1e308",
    "\"maxLength\":-1",
    "\"uniqueItems\":true",
    "\"$schema\":\"http://json-schema.org/draft-07/schema#\"",
    "\"$id\":\"a\"",
    "\"$dynamicRef\":\"#a\"",
    "\"x-agentmesh\":null",
    "\"skills\":[{\"inputSchema\":true}]",
    "\n---\n",
];

/// Makes inputs from those of a corpus. The same seed makes the same inputs.
pub struct Mutator<'c> {
    corpus: &'c Corpus,
    state: u64,
}

impl<'c> Mutator<'c> {
    /// A mutator that starts with `seed`.
    #[must_use]
    pub fn new(corpus: &'c Corpus, seed: u64) -> Self {
        Self {
            corpus,
            state: seed,
        }
    }

    /// The next input.
    pub fn mutated(&mut self) -> Vec<u8> {
        let mut input = self.any_input().to_vec();
        for _ in 0..=self.below(MAX_MUTATIONS) {
            self.mutate(&mut input);
        }
        input.truncate(MAX_INPUT_BYTES);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = input.len().min(at + self.below(16 + input.len() / 4));
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap_or(0),
            2 => drop(input.drain(at..end)),
            3 => {
                let part = input[at..end].repeat(1 + self.below(3));
                input.splice(at..at, part);
            }
            4 => {
                let part = input[at..end.min(at + 64)].repeat(self.below(MAX_REPETITIONS));
                input.splice(at..at, part);
            }
            5 => {
                let other = self.any_input();
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() - from + 1);
                input.splice(at..end, other[from..to].iter().copied());
            }
            6 => {
                let token = TOKENS[self.below(TOKENS.len())].bytes();
                input.splice(at..end.min(at + 8), token);
            }
            _ => {
                let token = TOKENS[self.below(TOKENS.len())].bytes();
                input.splice(at..at, token);
            }
        }
        input.truncate(2 * MAX_INPUT_BYTES);
    }

    fn any_input(&mut self) -> &'c [u8] {
        let corpus = self.corpus;
        &corpus.inputs[self.below(corpus.inputs.len())].1
    }

    /// A number below `limit`; 0 if `limit` is 0.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.random() % limit).unwrap_or(0)
    }

    /// The next number of the generator `SplitMix64`.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
