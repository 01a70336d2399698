//! `oam mesh logs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Running, Sandbox};

/// Starts a mesh and returns its log file.
fn start(sandbox: &Sandbox) -> PathBuf {
    let up = sandbox.oam(&["mesh", "up", "--port", "0", "--json"]);
    assert_eq!(up.code, 0, "{up:?}");
    let up: Value = serde_json::from_str(&up.stdout).unwrap();
    up["logs"][0].as_str().unwrap().into()
}

#[test]
fn log_is_printed_whole_or_its_end() {
    let sandbox = Sandbox::new();
    let log = start(&sandbox);
    let mut writer = File::options().append(true).open(&log).unwrap();
    writeln!(writer, "one\u{1b}[31m\nwithout a time").unwrap();
    let all = sandbox.oam(&["mesh", "logs"]);
    assert_eq!(all.code, 0, "{all:?}");
    assert!(all.stdout.contains("[INF] Server is ready\n"), "{all:?}");
    assert!(all.stdout.ends_with("one\\u{1b}[31m\nwithout a time\n"));
    for (lines, expected) in [("0", 0), ("1", 1), ("3", 3)] {
        let end = sandbox.oam(&["mesh", "logs", "-n", lines]);
        assert_eq!(end.stdout.lines().count(), expected, "{end:?}");
        assert!(all.stdout.ends_with(&end.stdout), "{end:?}");
    }
    let json = sandbox.oam(&["mesh", "logs", "--json"]);
    let lines: Vec<Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ready = lines.iter().find(|l| l["message"] == "Server is ready");
    let ready = ready.unwrap_or_else(|| panic!("{json:?}"));
    assert_eq!(ready["level"], "info");
    assert_eq!(ready["server"], sandbox.url().unwrap());
    assert!(ready["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(lines.last().unwrap()["time"], Value::Null);
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);

    let logs = ["mesh", "logs"];
    sandbox
        .oam(&logs)
        .assert_failure(&logs, 5, &["no mesh is selected here", "oam mesh list"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followed_log_goes_on_after_a_rotation_and_ends_with_its_mesh() {
    let sandbox = Sandbox::new();
    let log = start(&sandbox);
    let mut writer = File::options().append(true).open(&log).unwrap();
    writeln!(writer, "first").unwrap();
    let follow = ["mesh", "logs", "-f", "-n", "1"];
    let mut logs = Running::start(sandbox.command(&follow));
    assert_eq!(logs.line().await.as_deref(), Some("first"));
    writeln!(writer, "second").unwrap();
    assert_eq!(logs.line().await.as_deref(), Some("second"));
    let rotated = log.with_extension("log.1");
    std::fs::rename(&log, &rotated).unwrap();
    std::fs::write(&log, "third\n").unwrap();
    assert_eq!(logs.line().await.as_deref(), Some("third"));
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
    while logs.line().await.is_some() {}
    let (status, stderr) = logs.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followed_log_ends_with_its_signal_or_its_reader() {
    let sandbox = Sandbox::new();
    start(&sandbox);
    let follow = ["mesh", "logs", "--follow"];
    let mut logs = Running::start(sandbox.command(&follow));
    logs.line().await.unwrap();
    logs.signal("-INT");
    assert_eq!(logs.end().await.0.code(), Some(130));
    let mut logs = Running::start(sandbox.command(&follow));
    logs.line().await.unwrap();
    logs.close_stdout();
    assert_eq!(logs.end().await.0.code(), Some(0));
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_of_a_cluster_are_one() {
    let sandbox = Sandbox::new();
    let mut up = Running::start(sandbox.command(&[
        "mesh",
        "up",
        "--foreground",
        "--port",
        "0",
        "--cluster",
        "3",
    ]));
    up.line().await.unwrap();
    let logs = sandbox.oam(&["mesh", "logs"]);
    assert_eq!(logs.code, 0, "{logs:?}");
    let url = sandbox.url().unwrap();
    for server in url.split(',') {
        let port = server.rsplit(':').next().unwrap();
        assert!(logs.stdout.contains(&format!("\n{port} | [")), "{logs:?}");
    }
    // The threads of a server may write their lines in another order than they took the time: only a line that is later
    // than all before it, of the same server, has its place between the lines of the others.
    let mut latest: BTreeMap<&str, &str> = BTreeMap::new();
    let mut times = Vec::new();
    for line in logs.stdout.lines() {
        let Some((port, text)) = line.split_once(" | ") else {
            continue;
        };
        let Some(time) = text.split("] ").nth(1).and_then(|text| text.get(..26)) else {
            continue;
        };
        let latest = latest.entry(port).or_default();
        *latest = time.max(*latest);
        times.push(*latest);
    }
    assert!(times.len() > 3 && times.is_sorted(), "{logs:?}");
    let last = sandbox.oam(&["mesh", "logs", "-n", "2"]);
    assert_eq!(last.stdout.lines().count(), 2, "{last:?}");
    up.signal("-INT");
    assert_eq!(up.end().await.0.code(), Some(0));
}
