//! A tiny run from end to end, with correct counts. Its durations mean nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Maximum number of messages of a tiny run: fewer than the calls in flight.
const MESSAGES: u64 = 20;

fn bench(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    output.stdout
}

/// The contenders of each row.
fn measured(report: &Value) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for series in report["series"].as_array().unwrap() {
        let word = |field: &str| series[field].as_str().unwrap().to_owned();
        let (row, contender) = (word("row"), word("contender"));
        let values = series["values"].as_array().unwrap();
        assert_eq!(values.len(), 1, "{series}");
        let value = values[0].as_f64().unwrap();
        if row.ends_with("not listed") {
            assert!(value == 0.0, "{series}");
        } else if !row.contains("added latency") && !row.starts_with("stalled reader") {
            // Those two may be 0, and a difference negative.
            assert!(value > 0.0, "{series}");
        }
        rows.entry(row).or_default().push(contender);
    }
    rows
}

#[test]
fn tiny_run_measures_every_row_once() {
    let stdout = bench(&["--tiny", "--rounds", "1", "--without-python", "--json"]);
    let report: Value = serde_json::from_slice(&stdout).unwrap();
    let rows = measured(&report);
    // Memory is not reported on every system.
    let rows_of = |contenders: &[&str]| -> BTreeSet<&str> {
        let rows = rows.iter().filter(|(_, by)| *by == contenders);
        let rows = rows.map(|(row, _)| row.as_str());
        rows.filter(|row| !row.ends_with("memory")).collect()
    };
    assert_eq!(
        rows_of(&["ours", "raw_with_headers", "raw", "service"]),
        BTreeSet::from([
            "call, p50",
            "call, p99",
            "call of 16 B, p50",
            "call of 16 KiB, p50",
            "calls of 100 KiB, 64 in flight",
            "calls, 1,000 in flight",
            "calls, 64 in flight",
        ])
    );
    assert_eq!(
        rows_of(&["ours", "raw_with_headers", "raw"]),
        BTreeSet::from([
            "call via another agent, p50",
            "chunks of 100 streams",
            "chunks of 16 B",
            "chunks of 16 KiB",
            "chunks of a stream",
            "events",
            "events for 8 subscribers",
            "publish of 16 KiB",
        ])
    );
    assert_eq!(
        rows_of(&["ours", "raw_with_headers", "raw", "raw_call"]),
        BTreeSet::from(["first chunk, p50"])
    );
    assert_eq!(
        rows_of(&["ours", "raw", "raw_same_bucket"]),
        BTreeSet::from([
            "put to watch, p50",
            "values put",
            "values put, 32 at a time",
            "values read",
            "values read, 32 at a time",
        ])
    );
    assert_eq!(
        rows_of(&["ours", "raw"]),
        BTreeSet::from([
            "1,000 agents by one process",
            "1,000 registrations: sent to 1,000 followers",
            "125 agents by one process",
            "64 MiB read",
            "64 MiB put",
            "connect to a mesh of 1,000 agents",
            "connect and fetch the catalog",
            "one more than 5,000: received by a follower",
            "process start to callable",
        ])
    );
    assert_eq!(
        rows_of(&["ours"]),
        BTreeSet::from([
            "1,000 agents by 8 processes",
            "1,000 agents by 8 processes: not listed",
            "1,000 followers: until the last knows",
            "call of a struct with ranges and lengths, p50",
            "call of a struct, p50",
            "catalog(), 10 of 1,000 agents",
            "catalog(), 10 of 1,000 agents: allocations",
            "catalog(), none of 1,000 agents: allocations",
            "joining 5,000 agents: received",
            "oam --help",
            "oam mesh catalog",
            "oam mesh catalog of 1,000 agents",
            "one more than 5,000 agents",
            "one more: messages sent",
            "one more: received",
            "one more: sent",
            "the next of the same process",
            "the next: messages sent",
            "the next: received",
            "the next: sent",
            "token stream: added latency, p99",
            "token stream: latency of a chunk, p99",
            "token stream: latency of a message, p99",
        ])
    );

    let counts = report["series"].as_array().unwrap().iter();
    let of = |row: &str| {
        let series = counts.clone().find(|series| series["row"] == row);
        series.unwrap()["count"].as_u64().unwrap()
    };
    assert_eq!(of("calls, 1,000 in flight"), MESSAGES);
    assert_eq!(of("chunks of 100 streams"), MESSAGES);
    assert_eq!(of("1,000 agents by one process"), 6);
    assert_eq!(of("64 MiB read"), 1);

    let call = &report["targets"][0];
    assert_eq!(call["row"], "call, p50", "{call}");
    let value = call["value"].as_f64().unwrap();
    assert_eq!(call["is_met"], value <= 1.10, "{call}");
}

#[test]
fn tiny_run_transfers_a_file() {
    let stdout = bench(&[
        "--tiny",
        "--rounds",
        "1",
        "--without-python",
        "--json",
        "--only",
        "1 GiB",
    ]);
    let rows = measured(&serde_json::from_slice(&stdout).unwrap());
    let rows = rows.iter().filter(|(row, _)| !row.ends_with("memory"));
    let rows: Vec<(&str, usize)> = rows.map(|(row, by)| (row.as_str(), by.len())).collect();
    assert_eq!(rows, [("1 GiB from a file", 2), ("1 GiB to a file", 2)]);
}

#[test]
fn earlier_results_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("results.json");
    for only in ["first chunk", "oam --help"] {
        bench(&[
            "--tiny",
            "--rounds",
            "1",
            "--without-python",
            "--only",
            only,
            "--output",
            file.to_str().unwrap(),
        ]);
    }
    let rows = measured(&read(&file));
    let rows: Vec<&str> = rows.keys().map(String::as_str).collect();
    assert_eq!(rows, ["first chunk, p50", "oam --help"]);
}

#[test]
fn other_build_is_compared_to_this_one() {
    // This build is its own other build, so that the programs exist.
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    let directory = program.parent().unwrap().to_str().unwrap();
    let arguments = ["--tiny", "--rounds", "2", "--without-python", "--only"];
    let against = ["--against", directory, "--against-name", "before"];
    let stdout = bench(
        &[
            &arguments[..],
            &["64 MiB", "--only", "values read"],
            &against,
        ]
        .concat(),
    );
    let stdout = String::from_utf8(stdout).unwrap();
    let ratios = stdout.split("before / ours").nth(1).unwrap();
    for row in [
        "values read",
        "values read, 32 at a time",
        "64 MiB put",
        "64 MiB read",
    ] {
        assert!(ratios.contains(&format!("| {row} ")), "{row}: {stdout}");
    }
    assert!(stdout.contains("| before "), "{stdout}");
}

/// A process inherits ignored signals, for example from `nohup`.
#[cfg(unix)]
#[test]
fn run_with_ignored_signals_succeeds() {
    let status = Command::new("sh")
        .args(["-c", "trap '' HUP INT QUIT TERM; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_bench"))
        .args(["--tiny", "--rounds", "1", "--without-python", "--only"])
        .args(["events", "--only", "process start"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn invalid_options_are_refused() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let stderr = refused(&["--rounds", "2"]);
    assert!(stderr.contains("at least 3"), "{stderr}");
    let stderr = refused(&["--only", "unknown name"]);
    assert!(stderr.contains("bench list"), "{stderr}");
    let empty = tempfile::tempdir().unwrap();
    let stderr = refused(&["--against", empty.path().to_str().unwrap()]);
    assert!(stderr.contains("program 'bench' not found"), "{stderr}");
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
