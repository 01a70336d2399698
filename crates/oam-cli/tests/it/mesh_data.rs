//! Data that a mesh keeps or deletes: `oam mesh up --data`, `oam mesh down` and its `--purge`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{CommandOutput, Running, Sandbox};

fn run(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    let output = sandbox.oam(arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    output
}

fn run_in(sandbox: &Sandbox, directory: &Path, arguments: &[&str]) -> CommandOutput {
    let mut command = sandbox.command(arguments);
    command.current_dir(directory).output().unwrap().into()
}

fn parse(output: &CommandOutput) -> Value {
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Stores three values of which one is deleted, and a file.
fn store(sandbox: &Sandbox) {
    for key in ["a", "b", "c"] {
        run(sandbox, &["kv", "put", key, "1"]);
    }
    run(sandbox, &["kv", "delete", "c"]);
    std::fs::write(sandbox.work().join("f.txt"), "abc").unwrap();
    run(sandbox, &["workspace", "put", "f", "f.txt"]);
}

#[test]
fn data_is_kept_until_it_is_purged() {
    let sandbox = Sandbox::new();
    let data = sandbox.work().canonicalize().unwrap().join("a b/data");
    let shown = data.to_str().unwrap();
    let up = ["mesh", "up", "--port", "0", "--data", "a b/data"];
    let started = run(&sandbox, &up);
    let line = format!("its data is kept in {shown}\n");
    assert!(started.stdout.contains(&line), "{started:?}");
    store(&sandbox);
    let down = run(&sandbox, &["mesh", "down"]);
    let line = format!("data kept in {shown}; oam mesh up --data '{shown}' serves it again\n");
    assert!(down.stdout.ends_with(&line), "{down:?}");
    assert_eq!(sandbox.url(), None);

    let empty = run(&sandbox, &["mesh", "up", "--port", "0"]);
    let note = format!("this mesh starts empty; oam mesh up --data '{shown}' serves");
    assert!(empty.stderr.contains(&note), "{empty:?}");
    assert_eq!(sandbox.oam(&["kv", "get", "a"]).code, 5);
    let down = run(&sandbox, &["mesh", "down"]);
    assert_eq!(down.stdout.lines().count(), 1, "nothing to say: {down:?}");
    let again = run(&sandbox, &["mesh", "down"]);
    assert!(again.stdout.contains("data kept in"), "{again:?}");

    run(&sandbox, &up);
    assert_eq!(run(&sandbox, &["kv", "get", "a"]).stdout, "1");
    assert_eq!(run(&sandbox, &["workspace", "get", "f"]).stdout, "abc");
    let down = parse(&run(&sandbox, &["mesh", "down", "--json"]));
    assert_eq!(down["kept"], json!([shown]), "{down}");
    assert_eq!(down["stopped"][0]["deleted"], Value::Null);

    run(&sandbox, &up);
    let purged = run(&sandbox, &["mesh", "down", "--purge"]);
    let line = purged.stdout.lines().nth(1).unwrap();
    assert!(
        line.starts_with("deleted 2 values in 1 bucket and 1 file ("),
        "{purged:?}"
    );
    assert!(line.ends_with(&format!(") kept in {shown}")), "{purged:?}");
    assert!(!data.exists());
    assert_eq!(
        names(&sandbox.home().join(".agentmesh/kept")),
        Vec::<String>::new()
    );
    let none = run(&sandbox, &["mesh", "down", "--purge"]);
    assert!(none.stdout.contains("no data is kept"), "{none:?}");
}

#[test]
fn data_is_purged_while_no_mesh_runs() {
    let sandbox = Sandbox::new();
    for data in ["one", "two"] {
        run(&sandbox, &["mesh", "up", "--port", "0", "--data", data]);
        run(&sandbox, &["mesh", "down"]);
    }
    std::fs::write(sandbox.work().join("one/mine"), "").unwrap();
    let both = ["mesh", "down", "--purge"];
    let output = sandbox.oam(&both);
    output.assert_failure(&both, 2, &["several directories", "/one", "--data", "/two"]);
    let other = ["mesh", "down", "--purge", "--data", "."];
    let output = sandbox.oam(&other);
    output.assert_failure(&other, 2, &["no data of a mesh"]);
    let purged = run(&sandbox, &["mesh", "down", "--purge", "--data", "one"]);
    assert!(
        purged.stdout.contains("deleted the data kept"),
        "{purged:?}"
    );
    assert_eq!(names(&sandbox.work().join("one")), ["mine"]);
    let purged = run(&sandbox, &["mesh", "down", "--purge", "--json"]);
    let purged = parse(&purged);
    let two = sandbox.work().canonicalize().unwrap().join("two");
    assert_eq!(purged["purged"], json!([two]), "{purged}");
    assert!(!two.exists());
}

#[test]
fn data_serves_one_mesh_at_a_time_also_after_a_crash() {
    let sandbox = Sandbox::new();
    let data = sandbox.work().join("data");
    let data = data.to_str().unwrap();
    let up = ["mesh", "up", "--port", "0", "--data", data, "--json"];
    let started = parse(&run(&sandbox, &up));
    let elsewhere = tempfile::tempdir().unwrap();
    let second = run_in(&sandbox, elsewhere.path(), &up);
    assert_eq!(second.code, 1, "{second:?}");
    let error: Value = serde_json::from_str(&second.stderr).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    let url = started["url"].as_str().unwrap();
    for fragment in ["in use", url, "started in"] {
        assert!(message.contains(fragment), "{fragment}: {message}");
    }
    let purge = ["mesh", "down", "--purge", "--data", data];
    let purged = run_in(&sandbox, elsewhere.path(), &purge);
    assert_eq!(purged.code, 1, "{purged:?}");

    run(&sandbox, &["kv", "put", "a", "1"]);
    let pid = started["pids"][0].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    // A killed process is one until the system has ended it.
    let address = url.trim_start_matches("nats://");
    while std::net::TcpStream::connect(address).is_ok() {}
    let down = run(&sandbox, &["mesh", "down"]);
    assert!(down.stdout.contains("is not running"), "{down:?}");
    assert!(down.stdout.contains("data kept in"), "{down:?}");
    run(&sandbox, &up);
    assert_eq!(run(&sandbox, &["kv", "get", "a"]).stdout, "1");
    run(&sandbox, &["mesh", "down", "--purge"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_a_mesh_in_the_foreground_is_kept_also_if_its_owner_is_killed() {
    let sandbox = Sandbox::new();
    let up = [
        "mesh",
        "up",
        "--port",
        "0",
        "--data",
        "data",
        "--foreground",
    ];
    for (value, signal) in [("1", "-INT"), ("2", "-KILL")] {
        let mut foreground = Running::start(sandbox.command(&up));
        foreground.line().await.unwrap();
        assert!(foreground.line().await.unwrap().starts_with("its data is"));
        run(&sandbox, &["kv", "put", "a", value]);
        foreground.signal(signal);
        foreground.end().await;
    }
    // The watchdog ends the server of a killed owner within moments.
    let background = &up[..6];
    let mut output = sandbox.oam(background);
    for _ in 0..100 {
        if output.code == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        output = sandbox.oam(background);
    }
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(run(&sandbox, &["kv", "get", "a"]).stdout, "2");
    run(&sandbox, &["mesh", "down"]);
}

#[test]
fn data_of_a_cluster_is_served_by_a_cluster_of_its_size() {
    let sandbox = Sandbox::new();
    let up = ["mesh", "up", "--port", "0", "--data", "data"];
    let cluster = [&up[..], &["--cluster", "3"]].concat();
    run(&sandbox, &cluster);
    sandbox.until_code(&["kv", "put", "a", "1"], 0);
    let down = run(&sandbox, &["mesh", "down"]);
    assert!(down.stdout.contains("/data --cluster 3 serves"), "{down:?}");
    let single = sandbox.oam(&up);
    single.assert_failure(&up, 2, &["cluster of 3 servers", "--cluster 3"]);
    run(&sandbox, &cluster);
    assert_eq!(sandbox.until_code(&["kv", "get", "a"], 0).stdout, "1");
    run(&sandbox, &["mesh", "down", "--purge"]);
    assert!(!sandbox.work().join("data").exists());
}

#[test]
fn directory_of_other_files_is_refused() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.work().join("mine"), "").unwrap();
    let up = ["mesh", "up", "--port", "0", "--data", "."];
    let refused = sandbox.oam(&up);
    refused.assert_failure(&up, 2, &["unusable data directory", "such as mine"]);
    assert_eq!(names(sandbox.work()), ["mine"]);
    // A start that fails leaves no directory.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let up = ["mesh", "up", "--port", &port, "--data", "data"];
    assert_eq!(sandbox.oam(&up).code, 1);
    assert_eq!(names(sandbox.work()), ["mine"]);
}

#[test]
fn stopped_mesh_without_data_says_what_it_deletes() {
    let sandbox = Sandbox::new();
    let up = parse(&run(&sandbox, &["mesh", "up", "--port", "0", "--json"]));
    assert_eq!(up["data"], Value::Null);
    assert_eq!(up["foreground"], false);
    assert_eq!(up["websocket_url"], Value::Null);
    let log = up["logs"][0].as_str().unwrap().to_owned();
    assert!(Path::new(&log).is_file(), "{up}");
    store(&sandbox);
    let url = sandbox.url().unwrap();
    let down = run(&sandbox, &["mesh", "down"]);
    let lines: Vec<&str> = down.stdout.lines().collect();
    assert_eq!(lines[0], format!("stopped the mesh at {url}"));
    assert!(
        lines[1].starts_with("deleted 2 values in 1 bucket and 1 file ("),
        "{down:?}"
    );
    assert_eq!(lines.len(), 2);
    assert!(!Path::new(&log).exists());

    run(&sandbox, &["mesh", "up", "--port", "0"]);
    run(&sandbox, &["kv", "put", "a", "1"]);
    let file = sandbox.work().canonicalize().unwrap().join(".oam-url");
    let down = parse(&run(&sandbox, &["mesh", "down", "--json"]));
    assert_eq!(down["removed"], json!([file]), "{down}");
    let deleted = &down["stopped"][0]["deleted"];
    assert_eq!(
        (&deleted["values"], &deleted["files"]),
        (&json!(1), &json!(0))
    );
    assert!(deleted["bytes"].as_u64().unwrap() > 0);
    assert_eq!((&down["purged"], &down["kept"]), (&json!([]), &json!([])));
}

#[test]
fn silent_server_is_stopped_without_numbers() {
    let sandbox = Sandbox::new();
    let up = parse(&run(&sandbox, &["mesh", "up", "--port", "0", "--json"]));
    run(&sandbox, &["kv", "put", "a", "1"]);
    let pid = up["pids"][0].to_string();
    let stopped = Command::new("kill").args(["-STOP", &pid]).status().unwrap();
    assert!(stopped.success());
    let down = run(&sandbox, &["mesh", "down"]);
    assert!(
        down.stdout.contains("deleted all that it stored"),
        "{down:?}"
    );
    assert_eq!(sandbox.url(), None);
}
