//! Schemas and values that are made to cost much: each ends soon and takes little memory.
//!
//! Each case runs in a process of its own, which is killed after a deadline and whose peak memory is
//! read at its end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{hostile_cases, hostile_compilation};
use crate::schema::validator::Validator;

/// Names the case to the child process.
const CASE_VARIABLE: &str = "OAM_TEST_HOSTILE_CASE";

/// A case takes up to 100 ms in a release build.
const DEADLINE: Duration = Duration::from_secs(60);

/// The memory that a validation takes in addition to the schema and the value.
const MAX_TAKEN_MIB: u64 = 64;

/// The outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expected {
    Valid,
    Invalid,
    /// The schema is refused.
    Refused,
    /// The budget refuses the value.
    Exceeded,
}
use Expected::{Exceeded, Invalid, Refused, Valid};

pub(super) struct Case {
    name: &'static str,
    expected: Expected,
    make: fn() -> (Value, Value),
}

pub(super) const fn case(
    name: &'static str,
    expected: Expected,
    make: fn() -> (Value, Value),
) -> Case {
    Case {
        name,
        expected,
        make,
    }
}

/// `depth` definitions, each made by `link` of a reference to the next.
pub(super) fn chain(depth: usize, link: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    for n in 0..depth {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        definitions.insert(format!("d{n}"), link(next));
    }
    definitions.insert(format!("d{depth}"), json!({"type": "integer"}));
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

/// Not by `json!`, which copies recursively.
pub(super) fn not(inner: Value) -> Value {
    Value::Object(Map::from_iter([("not".to_owned(), inner)]))
}

pub(super) fn nested(depth: usize, inner: Value, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(inner, |inner, _| wrap(inner))
}

fn cases() -> impl Iterator<Item = &'static Case> {
    hostile_cases::CASES
        .iter()
        .chain(hostile_compilation::CASES)
}

/// The peak memory of this process so far.
fn peak_mib() -> u64 {
    let peak = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
    peak.unwrap_or(0) / 1024
}

/// Runs the case that the environment names, in a child process of the test below.
#[test]
fn hostile_case() {
    let Ok(name) = std::env::var(CASE_VARIABLE) else {
        return;
    };
    let case = cases().find(|case| case.name == name).unwrap();
    let (schema, value) = (case.make)();
    let before_mib = peak_mib();
    let started = Instant::now();
    let (found, said) = match Validator::new(&schema) {
        Err(reason) => (Refused, reason),
        Ok(validator) => match validator.problems(&value) {
            problems if problems.is_empty() => (Valid, String::new()),
            problems => {
                let first = &problems.listed[0];
                let exceeded = first.message.starts_with("validation budget exceeded");
                let found = if exceeded { Exceeded } else { Invalid };
                (found, format!("{}: {}", first.location, first.message))
            }
        },
    };
    let peak_mib = peak_mib();
    println!(
        "{name} | {:?} | {peak_mib} MiB | {found:?} | {said}",
        started.elapsed()
    );
    assert_eq!(found, case.expected, "{said}");
    assert!(said.len() < 2_000, "{} bytes", said.len());
    assert!(
        peak_mib - before_mib <= MAX_TAKEN_MIB,
        "{before_mib} MiB before, {peak_mib} MiB after"
    );
    // Dropping a schema that is nested deep would exhaust the stack.
    std::mem::forget(schema);
}

#[test]
fn hostile_schemas_and_values_end_soon_with_little_memory() {
    let mut failed = Vec::new();
    for case in cases() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "schema::tests::hostile::hostile_case",
                "--nocapture",
            ])
            .env(CASE_VARIABLE, case.name)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if started.elapsed() > DEADLINE {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let line = said.lines().find(|line| line.starts_with(case.name));
        println!("{}", line.unwrap_or(case.name));
        if !status.is_some_and(|status| status.success()) {
            failed.push(format!("{}: {status:?}\n{said}", case.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
