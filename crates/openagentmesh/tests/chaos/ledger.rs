//! The requests of a run, how they ended, and everything that must not have happened.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use openagentmesh::{Error, ErrorCode};

use crate::agents::{LAST, unix_ms};

/// The errors that a request may end with while its host or the server is down. An agent without a living host is not
/// listed.
const EXPECTED: [ErrorCode; 7] = [
    ErrorCode::AgentDied,
    ErrorCode::ChunkSequenceError,
    ErrorCode::ConnectionFailed,
    ErrorCode::NotAvailable,
    ErrorCode::NotFound,
    ErrorCode::Overloaded,
    ErrorCode::Timeout,
];

/// The time after the end of a request in which its handler may begin: the host learns of the end by a message.
const MAX_LATE_MS: u128 = 1000;
/// The number of violations that are printed.
const MAX_PRINTED: usize = 30;

#[derive(Debug)]
struct Entry {
    is_retried: bool,
    succeeded: bool,
    ended_ms: u128,
}

/// A run of a handler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    request: String,
    process: String,
    began_ms: u128,
}

pub(crate) struct Ledger {
    started: Instant,
    violations: Mutex<Vec<String>>,
    outcomes: Mutex<BTreeMap<(&'static str, String), u64>>,
    /// By the number of the request.
    requests: Mutex<HashMap<u64, Entry>>,
    /// The acknowledged writes, with the time at which each began.
    writes: Mutex<Vec<(String, Instant)>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            violations: Mutex::default(),
            outcomes: Mutex::default(),
            requests: Mutex::default(),
            writes: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        eprintln!("{:>8.3} {text}", self.started.elapsed().as_secs_f64());
    }

    pub(crate) fn violation(&self, text: impl std::fmt::Display) {
        let at = self.started.elapsed().as_secs_f64();
        let mut violations = self.violations.lock().unwrap();
        if violations.len() < MAX_PRINTED {
            eprintln!("{at:>8.3} VIOLATION {text}");
        }
        violations.push(format!("{at:.3}: {text}"));
    }

    /// Counts an outcome, and checks that an error is one of those that a disturbance leads to.
    pub(crate) fn outcome(&self, kind: &'static str, result: &Result<(), Error>) {
        let outcome = match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                if !EXPECTED.contains(error.code()) {
                    self.violation(format_args!("{kind} failed: {error:?}"));
                }
                error.code().to_string()
            }
        };
        let mut outcomes = self.outcomes.lock().unwrap();
        *outcomes.entry((kind, outcome)).or_default() += 1;
    }

    /// Records the end of a request that handlers log.
    pub(crate) fn ended(&self, number: u64, is_retried: bool, succeeded: bool) {
        let entry = Entry {
            is_retried,
            succeeded,
            ended_ms: unix_ms(),
        };
        self.requests.lock().unwrap().insert(number, entry);
    }

    pub(crate) fn written(&self, key: String, began: Instant) {
        self.writes.lock().unwrap().push((key, began));
    }

    /// The keys of the acknowledged writes that began after `time`.
    pub(crate) fn written_since(&self, time: Instant) -> Vec<String> {
        let writes = self.writes.lock().unwrap();
        let since = writes.iter().filter(|(_, began)| *began > time);
        since.map(|(key, _)| key.clone()).collect()
    }

    /// Compares the requests to the runs that the hosts have logged in `directory`.
    pub(crate) fn check_runs(&self, directory: &Path) {
        let mut runs = self.read_runs(directory);
        let requests = self.requests.lock().unwrap();
        let (mut late, mut latest) = (0, 0);
        for (number, entry) in &*requests {
            let all = runs.remove(number).unwrap_or_default();
            if entry.succeeded && all.is_empty() {
                self.violation(format_args!("request {number} has a reply, but no run"));
            }
            for run in &all {
                let after_ms = run.began_ms.saturating_sub(entry.ended_ms);
                late += usize::from(after_ms > MAX_LATE_MS);
                latest = latest.max(after_ms);
            }
            let attempts: HashSet<_> = all.iter().map(|run| &run.request).collect();
            if attempts.len() < all.len() || (all.len() > 1 && !entry.is_retried) {
                self.violation(format_args!(
                    "request {number} ran repeatedly: {all:?}, {entry:?}"
                ));
            }
        }
        for number in runs.keys() {
            self.violation(format_args!("unknown request {number} ran"));
        }
        let count = requests.len();
        let text = format!(
            "{late} of {count} requests began over {MAX_LATE_MS} ms after their ends, up to {latest} ms"
        );
        self.note(&text);
    }

    fn read_runs(&self, directory: &Path) -> HashMap<u64, Vec<Run>> {
        let mut runs: HashMap<u64, Vec<Run>> = HashMap::new();
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let process = path.file_name().unwrap().display().to_string();
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let mut words = line.split(' ');
                let [number, request, began_ms] = std::array::from_fn(|_| words.next().unwrap());
                let run = Run {
                    request: request.to_owned(),
                    process: process.clone(),
                    began_ms: began_ms.parse().unwrap(),
                };
                match number.parse() {
                    Ok(number) => runs.entry(number).or_default().push(run),
                    Err(_) if number == LAST => {}
                    Err(_) => self.violation(format_args!("{run:?} has lost its header")),
                }
            }
        }
        runs
    }

    /// Prints the numbers, and returns those of the successful and of all requests.
    pub(crate) fn report(&self) -> (u64, u64) {
        let outcomes = self.outcomes.lock().unwrap();
        let (mut succeeded, mut all) = (0, 0);
        for ((kind, outcome), count) in &*outcomes {
            eprintln!("{kind:>10} {outcome:<22} {count:>7}");
            all += count;
            if outcome == "ok" {
                succeeded += count;
            }
        }
        (succeeded, all)
    }

    /// Fails the test if there was a violation.
    pub(crate) fn assert_clean(&self) {
        let violations = self.violations.lock().unwrap();
        let printed = violations.iter().take(MAX_PRINTED).cloned();
        let printed = printed.collect::<Vec<_>>().join("\n");
        assert!(
            violations.is_empty(),
            "{} violations:\n{printed}",
            violations.len()
        );
    }
}
