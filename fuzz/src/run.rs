//! Runs a target with inputs, and keeps those that make it fail.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::corpus::Corpus;
use crate::mutate::Mutator;
use crate::targets::Target;

/// The time of one input at most, in the debug profile on a shared machine.
const INPUT_TIMEOUT: Duration = Duration::from_secs(20);

/// The interval in which an input that does not end is looked for.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// An input that made its target fail.
#[derive(Debug)]
pub struct Failure {
    target: &'static str,
    /// The file of the input.
    file: PathBuf,
    reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            file,
            reason,
        } = self;
        write!(
            f,
            "target {target} failed: {reason}; input kept in {}",
            file.display()
        )
    }
}

/// Runs `target` with `input`.
///
/// # Errors
///
/// The panic of the target, or the time that it took.
pub fn check(target: &Target, input: &[u8]) -> Result<(), String> {
    let started = Instant::now();
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("panic").to_owned()
    })?;
    let took = started.elapsed();
    if took > INPUT_TIMEOUT {
        return Err(format!("the input took {took:?}"));
    }
    Ok(())
}

/// Runs `target` with mutations of its corpus until `is_over` is true of the number of inputs; returns that
/// number. If an input does not end, its file is printed and the process ends.
///
/// # Errors
///
/// The first failure.
///
/// # Panics
///
/// If the failing input cannot be kept.
pub fn fuzz(
    target: &Target,
    corpus: &Corpus,
    seed: u64,
    is_over: impl Fn(u64) -> bool,
) -> Result<u64, Failure> {
    let mut mutator = Mutator::new(corpus, seed);
    let current = Mutex::new(Some((Vec::new(), Instant::now())));
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(target, corpus, &current));
        let mut inputs = 0;
        let result = loop {
            if is_over(inputs) {
                break Ok(inputs);
            }
            let input = mutator.mutated();
            inputs += 1;
            set(&current, Some((input.clone(), Instant::now())));
            if let Err(reason) = check(target, &input) {
                break Err(Failure {
                    target: target.name,
                    file: corpus.keep(&input).expect("the input cannot be kept"),
                    reason,
                });
            }
        };
        set(&current, None);
        watching.thread().unpark();
        result
    })
}

/// An input and the time at which its run began; `None` after the last one.
type Current = Mutex<Option<(Vec<u8>, Instant)>>;

fn set(current: &Current, input: Option<(Vec<u8>, Instant)>) {
    *current.lock().unwrap_or_else(PoisonError::into_inner) = input;
}

fn watch(target: &Target, corpus: &Corpus, current: &Current) {
    loop {
        std::thread::park_timeout(WATCH_INTERVAL);
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((input, started)) = &*current else {
            return;
        };
        if started.elapsed() > 2 * INPUT_TIMEOUT {
            let file = corpus.keep(input).expect("the input cannot be kept");
            eprintln!(
                "target {} does not end; input kept in {}",
                target.name,
                file.display()
            );
            std::process::exit(1);
        }
    }
}
