//! What the tests share.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openagentmesh_local::{LocalServer, LocalServerBuilder, NatsServerSearch};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The variable that makes an ignored test play its part in another process.
pub const PART: &str = "OAM_LOCAL_TEST_HOME";

/// How long a condition may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A program to run, installed into the real home directory by the first test that needs it.
pub async fn nats_server() -> PathBuf {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    INSTALLED
        .get_or_init(async || {
            let server = NatsServerSearch::new().find_or_install().await.unwrap();
            server.path().to_owned()
        })
        .await
        .clone()
}

pub fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub async fn builder(home: &TempDir) -> LocalServerBuilder {
    LocalServer::builder()
        .home_directory(home.path())
        .binary(nats_server().await)
}

/// The processes whose command line mentions `text`.
pub fn processes_of(text: &Path) -> Vec<u32> {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
    let text = text.to_str().unwrap();
    let mut system = System::new().unwrap();
    let command_lines = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, command_lines);
    system
        .processes()
        .values()
        .filter(|process| process.thread_kind().is_none())
        .filter(|process| {
            process
                .cmd()
                .iter()
                .any(|arg| arg.to_string_lossy().contains(text))
        })
        .map(|process| process.pid().as_u32())
        .collect()
}

/// What is in a directory, lock files aside.
pub fn contents(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = match std::fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect(),
        Err(_) => Vec::new(),
    };
    names.retain(|name| !name.ends_with(".lock"));
    names.sort();
    names
}

/// Neither a process nor a server's directory is left in this home.
pub fn assert_nothing_left(home: &Path) {
    assert_eq!(processes_of(home), Vec::<u32>::new());
    assert_eq!(contents(&home.join(".agentmesh/run")), Vec::<String>::new());
    assert_eq!(
        contents(&home.join(".agentmesh/mesh")),
        Vec::<String>::new()
    );
}

pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Two ports in a row that nobody listens on, for a moment at least.
pub fn free_ports() -> u16 {
    loop {
        let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        // Below the range from which the system chooses ports by itself, nobody else comes by.
        let port = 20_000 + port % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
            && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok()
        {
            return port;
        }
    }
}

/// Runs the ignored test `part` of this test program in a process of its own.
pub fn play(part: &str, home: &Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", part, "--ignored", "--nocapture"])
        .env(PART, home)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}
