//! A very small run works from end to end, and counts right. What it measures means nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Fewer than the calls that are under way at once.
const MESSAGES: u32 = 20;

#[test]
fn a_tiny_run_measures_everything_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--rounds", "1", "--json", "--messages"])
        .arg(MESSAGES.to_string())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(report["rounds"], 1);
    let mut measured = BTreeSet::new();
    for series in report["series"].as_array().unwrap() {
        assert_eq!(series["count"], MESSAGES, "{series}");
        let values = series["values"].as_array().unwrap();
        assert_eq!(values.len(), 1, "{series}");
        assert!(values[0].as_f64().unwrap() > 0.0, "{series}");
        let word = |field: &str| series[field].as_str().unwrap().to_owned();
        measured.insert((word("what"), word("contender")));
    }
    let whats: BTreeSet<_> = measured.iter().map(|(what, _)| what.as_str()).collect();
    let contenders: BTreeSet<_> = measured.iter().map(|(_, by)| by.as_str()).collect();
    assert_eq!(
        Vec::from_iter(whats),
        [
            "call, p50",
            "call, p99",
            "calls, 64 in flight",
            "chunks of a stream",
            "events",
        ]
    );
    assert_eq!(
        Vec::from_iter(contenders),
        ["ours", "raw", "raw_with_headers"]
    );
    assert_eq!(measured.len(), 5 * 3, "each measure of each contender");
}

#[test]
fn a_tiny_run_at_scale_measures_everything_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["scale", "--rounds", "1", "--json"])
        .args(["--agents", "6", "--processes", "3", "--crowd", "4"])
        .args(["--mebibytes", "1", "--large=2"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    let mut measured: Vec<(String, String)> = Vec::new();
    for series in report["series"].as_array().unwrap() {
        let values = series["values"].as_array().unwrap();
        assert_eq!(values.len(), 1, "{series}");
        let word = |field: &str| series[field].as_str().unwrap().to_owned();
        let is_lost = word("what").ends_with("not listed");
        assert_eq!(values[0].as_f64().unwrap() > 0.0, !is_lost, "{series}");
        measured.push((word("what"), word("contender")));
    }
    let by = |contender: &str| -> Vec<&str> {
        let own = measured.iter().filter(|(_, by)| by == contender);
        own.map(|(what, _)| what.as_str())
            // Where the system does not tell, it is not told.
            .filter(|what| !what.ends_with("memory"))
            .collect()
    };
    let files = ["put 1 MiB", "get 1 MiB", "2 MiB from file", "2 MiB to file"];
    assert_eq!(by("raw"), [&["6 agents"][..], &files].concat());
    let more = |which: &str| {
        let about = ["beside 4", "has sent", "has received", "has sent messages"];
        about.map(|about| format!("{which} {about}"))
    };
    let (one, next) = (more("one more"), more("its next"));
    let mut ours = vec![
        "6 agents",
        "6 by 3 processes",
        "6 by 3 processes: not listed",
        "joining 4 has received",
    ];
    ours.extend(one.iter().chain(&next).map(String::as_str));
    ours.extend(files);
    assert_eq!(by("ours"), ours);
}
