//! `oam self uninstall`, in a home of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{CommandOutput, Dialogue, Running, Sandbox};

const UNINSTALL: &[&str] = &["self", "uninstall"];

/// Files as an installation and a stopped mesh leave them.
fn install_files(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.home().join(".agentmesh");
    for (path, content) in [
        ("bin/nats-server", "the program"),
        ("mesh/mesh.lock", ""),
        ("contexts.toml", "selected = \"a\""),
    ] {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn json(output: &CommandOutput) -> Value {
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn files_are_listed_and_kept_without_a_confirmation() {
    let sandbox = Sandbox::new();
    let directory = install_files(&sandbox);
    let output = sandbox.oam(UNINSTALL);
    assert_eq!(output.code, 2, "{output:?}");
    for name in ["bin", "mesh", "contexts.toml"] {
        let listed = format!("remove   {}", directory.join(name).display());
        assert!(output.stdout.contains(&listed), "{output:?}");
    }
    assert!(output.stderr.contains("--yes"), "{output:?}");
    let json = sandbox.oam(&["self", "uninstall", "--json"]);
    json.assert_failure(UNINSTALL, 2, &["--yes"]);
    assert!(directory.join("bin/nats-server").exists());
}

#[test]
fn files_are_removed_with_yes() {
    let sandbox = Sandbox::new();
    let directory = install_files(&sandbox);
    let report = json(&sandbox.oam(&["self", "uninstall", "--yes", "--json"]));
    assert!(!directory.exists());
    let removed = report["removed"].as_array().unwrap();
    assert_eq!(removed.len(), 3, "{report}");
    assert_eq!(removed[0]["bytes"], "the program".len(), "{report}");
    // This program was built by the test, so that neither cargo nor pip knows it.
    assert_eq!(report["program"]["removed"], false);
    let command = report["program"]["command"].as_str().unwrap();
    assert!(command.starts_with("rm "), "{report}");

    let again = sandbox.oam(&["self", "uninstall", "--yes"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("no files to remove"), "{again:?}");
}

#[test]
fn question_on_a_terminal_is_answered() {
    let sandbox = Sandbox::new();
    let directory = install_files(&sandbox);
    for (answer, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        assert!(directory.exists());
        let mut terminal = Dialogue::start(sandbox.command(UNINSTALL));
        terminal.wait_for("[y/N]");
        terminal.type_text(answer);
        let (ended, text) = terminal.end();
        assert_eq!(ended, code, "{answer:?}: {text}");
    }
    assert!(!directory.exists());
}

#[test]
fn kept_data_stays_and_is_named() {
    let sandbox = Sandbox::new();
    let directory = install_files(&sandbox);
    let outside = sandbox.work().join("data");
    let inside = directory.join("my data");
    fs::create_dir(directory.join("kept")).unwrap();
    for (index, data) in [&outside, &inside].into_iter().enumerate() {
        fs::create_dir(data).unwrap();
        fs::write(data.join("stream"), "abc").unwrap();
        let memory = serde_json::json!({ "data": data, "started_in": "/" });
        let path = directory.join(format!("kept/{index}.json"));
        fs::write(path, memory.to_string()).unwrap();
    }
    let report = json(&sandbox.oam(&["self", "uninstall", "--yes", "--json"]));
    for (index, data) in [&outside, &inside].into_iter().enumerate() {
        assert_eq!(report["kept"][index]["path"], data.to_str().unwrap());
        assert_eq!(report["kept"][index]["reason"], "data");
        assert!(data.join("stream").exists());
    }
    assert_eq!(
        fs::read_dir(&directory).unwrap().count(),
        1,
        "the data alone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_mesh_stops_the_command_unless_forced() {
    let sandbox = Sandbox::new();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 0, "{up:?}");
    let url = sandbox.url().unwrap();
    let output = sandbox.oam(&["self", "uninstall", "--yes"]);
    output.assert_failure(UNINSTALL, 1, &[&url, "oam mesh down", "--force"]);
    let forced = ["self", "uninstall", "--yes", "--force", "--json"];
    let report = json(&sandbox.oam(&forced));
    assert_eq!(report["stopped"][0], url);
    assert!(!sandbox.home().join(".agentmesh").exists());
    let catalog = sandbox.oam(&["mesh", "catalog"]);
    assert_eq!(catalog.code, 3, "{catalog:?}");
    fs::remove_file(sandbox.work().join(".oam-url")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_of_a_running_program_stays() {
    let sandbox = Sandbox::new();
    let foreground = ["mesh", "up", "--foreground", "--port", "0"];
    let mut up = Running::start(sandbox.command(&foreground));
    up.line().await.unwrap();
    let report = sandbox.oam(&["self", "uninstall", "--yes", "--force", "--json"]);
    let report = json(&report);
    assert_eq!(report["kept"][0]["reason"], "in_use", "{report}");
    let catalog = sandbox.oam(&["mesh", "catalog"]);
    assert_eq!(catalog.code, 0, "{catalog:?}");
    up.signal("-INT");
    assert_eq!(up.end().await.0.code(), Some(0));
}

/// A program in the place where cargo puts it, and a cargo that says what it was asked to do.
#[test]
fn program_of_cargo_is_removed_by_cargo() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().canonicalize().unwrap().join("cargo root");
    let bin = root.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let program = bin.join("oam");
    if fs::hard_link(env!("CARGO_BIN_EXE_oam"), &program).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_oam"), &program).unwrap();
    }
    let listed = "[v1]\n\"oam-cli 0.1.0 (path+file:///x)\" = [\"oam\"]\n";
    fs::write(root.join(".crates.toml"), listed).unwrap();
    let tools = sandbox.work().join("tools");
    fs::create_dir(&tools).unwrap();
    let cargo = tools.join("cargo");
    fs::write(
        &cargo,
        "#!/bin/sh\necho \"$@\" > \"$5/asked\"\nrm \"$5/bin/oam\"\n",
    )
    .unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());

    let mut command = sandbox.program(&program);
    command.args(["self", "uninstall", "--yes", "--json"]);
    let report = json(&command.env("PATH", path).output().unwrap().into());
    assert_eq!(report["program"]["removed"], true, "{report}");
    assert_eq!(report["program"]["path"], program.to_str().unwrap());
    assert_eq!(report["program"]["command"], Value::Null);
    assert!(!program.exists());
    let asked = fs::read_to_string(root.join("asked")).unwrap();
    assert!(asked.starts_with("uninstall oam-cli "), "{asked}");
}
