//! Mutates the corpus of each target for some time: `fuzz [--seconds N] [--seed N] [TARGET]…`.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use fuzz::{Corpus, TARGETS, fuzz};

const USAGE: &str = "usage: fuzz [--seconds N] [--seed N] [TARGET]…";

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
    let mut seconds = 20;
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
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            name if TARGETS.iter().any(|target| target.name == name) => names.push(argument),
            _ => return Err(USAGE.to_owned()),
        }
    }
    for target in TARGETS {
        if !names.is_empty() && !names.iter().any(|name| name == target.name) {
            continue;
        }
        println!("{}: seed {seed}", target.name);
        let corpus = Corpus::read(target.name).map_err(|error| error.to_string())?;
        let started = Instant::now();
        let is_over = |_| started.elapsed() >= Duration::from_secs(seconds);
        let inputs = fuzz(target, &corpus, seed, is_over).map_err(|failure| failure.to_string())?;
        println!("{}: {inputs} inputs", target.name);
    }
    Ok(())
}
