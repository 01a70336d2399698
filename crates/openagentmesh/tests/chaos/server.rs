//! The server, which ends and starts again, with its store or without it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use openagentmesh_local::NatsServerSearch;
use tokio::process::{Child, Command};

use crate::schedule::Outage;
use crate::support::{free_port, within};

pub(crate) struct Server {
    binary: PathBuf,
    port: u16,
    directory: PathBuf,
    process: Child,
}

impl Server {
    /// Starts a server with its files in `directory`.
    pub(crate) async fn start(directory: &Path) -> Self {
        let binary = NatsServerSearch::new().find_or_install().await.unwrap();
        let binary = binary.path().to_owned();
        let port = free_port();
        Self {
            process: launch(&binary, port, directory),
            binary,
            port,
            directory: directory.to_owned(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends the process, and waits until it has ended.
    pub(crate) async fn end(&mut self, signal: &str) {
        crate::support::peer::signal(&self.process, signal);
        within(self.process.wait()).await.unwrap();
    }

    /// Ends the process, and starts the next one after the time of the outage.
    pub(crate) async fn restart(&mut self, outage: &Outage) {
        let signal = if outage.is_killed { "-KILL" } else { "-TERM" };
        self.end(signal).await;
        if !outage.keeps_store {
            std::fs::remove_dir_all(store(&self.directory)).unwrap();
        }
        tokio::time::sleep(outage.down).await;
        self.process = launch(&self.binary, self.port, &self.directory);
    }

    /// Fails when the server has ended by itself.
    pub(crate) fn check(&mut self) {
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended: {ended:?}");
    }
}

fn store(directory: &Path) -> PathBuf {
    directory.join("store")
}

fn launch(binary: &Path, port: u16, directory: &Path) -> Child {
    let mut command = Command::new(binary);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    command.arg("-js").arg("-sd").arg(store(directory));
    command.arg("-l").arg(directory.join("server.log"));
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
