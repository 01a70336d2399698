//! A very small run works from end to end, and counts right. What it measures means nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// How many messages a tiny run has at most: fewer than the calls that are under way at once.
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

/// What each contender has measured, by rows.
fn measured(report: &Value) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for series in report["series"].as_array().unwrap() {
        let word = |field: &str| series[field].as_str().unwrap().to_owned();
        let (row, contender) = (word("row"), word("contender"));
        let values = series["values"].as_array().unwrap();
        assert_eq!(values.len(), 1, "{series}");
        let is_loss = row.ends_with("not listed");
        assert_eq!(values[0].as_f64().unwrap() > 0.0, !is_loss, "{series}");
        rows.entry(row).or_default().push(contender);
    }
    rows
}

#[test]
fn a_tiny_run_measures_everything_once() {
    let stdout = bench(&["--tiny", "--rounds", "1", "--without-python", "--json"]);
    let report: Value = serde_json::from_slice(&stdout).unwrap();
    let rows = measured(&report);
    // Where the system does not tell, it is not told.
    let whose = |contenders: &[&str]| -> BTreeSet<&str> {
        let rows = rows.iter().filter(|(_, by)| *by == contenders);
        let rows = rows.map(|(row, _)| row.as_str());
        rows.filter(|row| !row.ends_with("memory")).collect()
    };
    assert_eq!(
        whose(&["ours", "raw_with_headers", "raw", "service"]),
        BTreeSet::from([
            "call, p50",
            "call, p99",
            "calls of 100 KiB, 64 in flight",
            "calls, 1,000 in flight",
            "calls, 64 in flight",
        ])
    );
    assert_eq!(
        whose(&["ours", "raw_with_headers", "raw"]),
        BTreeSet::from([
            "call by way of another agent, p50",
            "chunks of 100 streams",
            "chunks of a stream",
            "events",
            "events for 8 subscribers",
            "first chunk, p50",
        ])
    );
    assert_eq!(
        whose(&["ours", "raw", "raw_same_bucket"]),
        BTreeSet::from([
            "a value's way to a watch, p50",
            "values got",
            "values got, 32 at a time",
            "values put",
            "values put, 32 at a time",
        ])
    );
    assert_eq!(
        whose(&["ours", "raw"]),
        BTreeSet::from([
            "1,000 agents by one process",
            "125 agents by one process",
            "64 MiB got",
            "64 MiB put",
            "connect to a mesh of 1,000 agents",
            "connect, and know its catalog",
            "process start to callable",
        ])
    );
    assert_eq!(
        whose(&["ours"]),
        BTreeSet::from([
            "1,000 agents by 8 processes",
            "1,000 agents by 8 processes: not listed",
            "call of a struct with ranges and lengths, p50",
            "call of a struct, p50",
            "catalog(), 10 of 1,000 agents",
            "catalog(), 10 of 1,000 agents: allocations",
            "catalog(), none of 1,000 agents: allocations",
            "its next beside 5,000 agents",
            "its next: messages sent",
            "its next: received",
            "its next: sent",
            "joining 5,000 agents: received",
            "oam --help",
            "oam mesh catalog",
            "one more beside 5,000 agents",
            "one more: messages sent",
            "one more: received",
            "one more: sent",
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
    assert_eq!(of("64 MiB got"), 1);

    let call = &report["targets"][0];
    assert_eq!(call["row"], "call, p50", "{call}");
    let value = call["value"].as_f64().unwrap();
    assert_eq!(call["is_met"], value <= 1.10, "{call}");
}

#[test]
fn a_tiny_run_moves_a_file() {
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
fn what_was_measured_before_is_kept() {
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
fn nobody_is_measured_too_seldom() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused(&["--rounds", "2"]);
    assert!(said.contains("at least 3"), "{said}");
    let said = refused(&["--only", "nothing of this name"]);
    assert!(said.contains("bench list"), "{said}");
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
