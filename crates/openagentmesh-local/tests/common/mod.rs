//! What the tests share.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::ffi::{OsStr, OsString};
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

/// The processes whose command line mentions `text`: servers, and the watchdogs of those that live
/// as long as their owner.
pub fn processes_of(text: &Path) -> Vec<u32> {
    processes(|cmd| mentions(cmd, text))
}

/// The servers in this home.
pub fn servers_of(home: &Path) -> Vec<u32> {
    processes(|cmd| mentions(cmd, home) && !is_watchdog(cmd))
}

/// The watchdogs of the servers in this home.
pub fn watchdogs_of(home: &Path) -> Vec<u32> {
    processes(|cmd| mentions(cmd, home) && is_watchdog(cmd))
}

fn mentions(cmd: &[OsString], text: &Path) -> bool {
    let text = text.to_str().unwrap();
    cmd.iter().any(|arg| arg.to_string_lossy().contains(text))
}

fn is_watchdog(cmd: &[OsString]) -> bool {
    cmd.iter().any(|arg| arg == "oam-watchdog")
}

/// The processes with such a command line. A zombie has none.
fn processes(wanted: impl Fn(&[OsString]) -> bool) -> Vec<u32> {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
    let mut system = System::new().unwrap();
    let command_lines = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, command_lines);
    let mut pids: Vec<u32> = system
        .processes()
        .values()
        .filter(|process| process.thread_kind().is_none())
        .filter(|process| wanted(process.cmd()))
        .map(|process| process.pid().as_u32())
        .collect();
    pids.sort_unstable();
    pids
}

/// Sends a real signal.
pub fn signal(pid: u32, signal: sysinfo::Signal) {
    let pid = sysinfo::Pid::from_u32(pid);
    let mut system = sysinfo::System::new().unwrap();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    // The process may be gone already, which is for the caller to find out.
    if let Some(process) = system.process(pid) {
        process.kill_with(signal).unwrap();
    }
}

/// Ends and reaps a helper process however the test ends.
pub struct Helper(pub std::process::Child);

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What an owner does in a process of its own: it has two servers until it is killed, and handles
/// no signal.
pub async fn own_two_servers() {
    let Some(home) = std::env::var_os(PART) else {
        return;
    };
    let home = PathBuf::from(home);
    let settings = LocalServer::builder()
        .home_directory(&home)
        .binary(nats_server().await);
    let _first = settings.clone().start().await.unwrap();
    let _second = settings.start().await.unwrap();
    std::fs::write(home.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

/// Starts an owner of two servers, by the part of the name `owner`, and waits until they run.
pub async fn start_owner(home: &Path) -> Helper {
    let owner = Helper(play("owner", home));
    eventually("the owner's servers run", || home.join("ready").exists()).await;
    owner
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

/// The same, once those are through that clean up by themselves.
pub async fn eventually_nothing_left(home: &Path) {
    eventually("nothing is left", || {
        processes_of(home).is_empty()
            && contents(&home.join(".agentmesh/run")).is_empty()
            && contents(&home.join(".agentmesh/mesh")).is_empty()
    })
    .await;
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
    use std::net::{TcpListener, TcpStream};
    loop {
        let random = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = random.local_addr().unwrap().port();
        // Below the range from which the system chooses ports by itself, nobody else comes by.
        let port = 20_000 + port % 10_000;
        // Not found out by listening there: a child that another test is just starting would hold
        // a copy of the listener for a moment longer, and the port with it.
        if TcpStream::connect(("127.0.0.1", port)).is_err()
            && TcpStream::connect(("127.0.0.1", port + 1)).is_err()
        {
            return port;
        }
    }
}

/// Runs the ignored test `part` of this test program in a process of its own.
pub fn play(part: &str, home: &Path) -> std::process::Child {
    play_within(&[], part, home)
}

/// The same, started by another program that takes a command line, such as `unshare`.
pub fn play_within(starter: &[&str], part: &str, home: &Path) -> std::process::Child {
    let this = std::env::current_exe().unwrap();
    let mut line = starter.iter().map(OsStr::new).chain([this.as_os_str()]);
    std::process::Command::new(line.next().unwrap())
        .args(line)
        .args(["--exact", part, "--ignored", "--nocapture"])
        .env(PART, home)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}
