//! Helpers of several test modules.

mod condition;
pub(crate) mod detached_home;
pub(crate) mod process;
#[cfg(unix)]
pub(crate) mod program;
#[cfg(unix)]
pub(crate) mod release;
pub(crate) mod role;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use openagentmesh_local::{LocalServer, LocalServerBuilder, NatsServerSearch};
use tempfile::TempDir;
use tokio::sync::OnceCell;

#[cfg_attr(not(unix), allow(unused_imports))]
pub(crate) use condition::{CONDITION_TIMEOUT, eventually};
use process::processes_of;

/// The program to run. The first test that needs it installs it into the real home directory.
pub(crate) async fn nats_server() -> PathBuf {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    INSTALLED
        .get_or_init(async || {
            let server = NatsServerSearch::new().find_or_install().await.unwrap();
            server.path().to_owned()
        })
        .await
        .clone()
}

pub(crate) fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) async fn builder(home: &TempDir) -> LocalServerBuilder {
    LocalServer::builder()
        .home_directory(home.path())
        .binary(nats_server().await)
}

/// The names in a directory, without lock files.
pub(crate) fn contents(directory: &Path) -> Vec<String> {
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

/// Asserts that this home has neither a process nor a server's directory.
pub(crate) fn assert_nothing_left(home: &Path) {
    assert_eq!(processes_of(home), Vec::<u32>::new());
    assert_eq!(contents(&home.join(".agentmesh/run")), Vec::<String>::new());
    assert_eq!(
        contents(&home.join(".agentmesh/mesh")),
        Vec::<String>::new()
    );
}

/// Waits until [`assert_nothing_left`] would pass: watchdogs clean up asynchronously.
#[cfg(unix)]
pub(crate) async fn eventually_nothing_left(home: &Path) {
    eventually("nothing is left", || {
        processes_of(home).is_empty()
            && contents(&home.join(".agentmesh/run")).is_empty()
            && contents(&home.join(".agentmesh/mesh")).is_empty()
    })
    .await;
}

/// The first of two consecutive free ports. Tests of one process never get the same ports.
pub(crate) fn free_ports() -> u16 {
    use std::net::{TcpListener, TcpStream};
    static NEXT_PAIR: AtomicU16 = AtomicU16::new(0);
    let random = TcpListener::bind("127.0.0.1:0").unwrap();
    let first_pair = random.local_addr().unwrap().port();
    loop {
        let pair = first_pair.wrapping_add(NEXT_PAIR.fetch_add(1, Ordering::Relaxed));
        // The range is below the ports that the system assigns by itself.
        let port = 20_000 + pair % 5_000 * 2;
        // The ports are probed by connecting: a listener of our own could be inherited by a child
        // that another test is just forking, and would keep the port in use until exec.
        if TcpStream::connect(("127.0.0.1", port)).is_err()
            && TcpStream::connect(("127.0.0.1", port + 1)).is_err()
        {
            return port;
        }
    }
}
