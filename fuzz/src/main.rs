//! Mutates the corpus of each target: `fuzz [--seconds N | --inputs N] [--seed N] [TARGET]…`.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuzz::{Corpus, TARGETS, Target, fuzz};

const USAGE: &str = "usage: fuzz [--seconds N | --inputs N] [--seed N] [TARGET]…";

/// The limit of the run of one target.
#[derive(Clone, Copy)]
enum Limit {
    Time(Duration),
    /// With a seed, the run is the same on every machine.
    Inputs(u64),
}

impl Limit {
    fn is_reached(self, started: Instant, inputs: u64) -> bool {
        match self {
            Self::Time(time) => started.elapsed() >= time,
            Self::Inputs(limit) => inputs >= limit,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut limit = Limit::Time(Duration::from_secs(20));
    let mut seed = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| u64::from(since.subsec_nanos()) ^ since.as_secs());
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let number = arguments.next().and_then(|text| text.parse().ok());
            number.ok_or_else(|| USAGE.to_owned())
        };
        match argument.as_str() {
            "--seconds" => limit = Limit::Time(Duration::from_secs(number()?)),
            "--inputs" => limit = Limit::Inputs(number()?),
            "--seed" => seed = number()?,
            name if TARGETS.iter().any(|target| target.name == name) => names.push(argument),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let wanted =
        |target: &&Target| names.is_empty() || names.iter().any(|name| name == target.name);
    run_all(TARGETS.iter().filter(wanted), limit, seed)
}

/// Mutates the corpora, each up to `limit`, with a thread for each core. Fails with the first failure of each thread.
fn run_all<'t>(
    targets: impl Iterator<Item = &'t Target> + Send,
    limit: Limit,
    seed: u64,
) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let targets = Mutex::new(targets);
    let work = || {
        let next = || {
            targets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next()
        };
        while let Some(target) = next() {
            run_one(target, limit, seed)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = running.into_iter().map(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err("a thread of the harness panicked".to_owned()))
        });
        // Every thread is waited for, before the failures are judged.
        let failures: Vec<String> = ended.filter_map(Result::err).collect();
        match failures.is_empty() {
            true => Ok(()),
            false => Err(failures.join("\n")),
        }
    })
}

fn run_one(target: &Target, limit: Limit, seed: u64) -> Result<(), String> {
    println!("{}: seed {seed}", target.name);
    let corpus = Corpus::read(target.name).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let is_over = |inputs| limit.is_reached(started, inputs);
    let inputs = fuzz(target, &corpus, seed, is_over).map_err(|failure| failure.to_string())?;
    println!("{}: {inputs} inputs", target.name);
    Ok(())
}
