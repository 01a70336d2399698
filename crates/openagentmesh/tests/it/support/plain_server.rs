//! A server that can be stopped and started again with the storage that it had.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use openagentmesh::AgentMesh;
use openagentmesh_local::NatsServerSearch;
use tokio::process::{Child, Command};

use super::{eventually, free_port, within};

/// A `nats-server` without the settings of `LocalServer`. The process ends with the value.
pub(crate) struct PlainServer {
    binary: PathBuf,
    port: u16,
    storage: Option<PathBuf>,
    /// The port on which the server reports its state.
    pub(crate) monitor_port: u16,
    process: Child,
}

impl PlainServer {
    /// Starts a server with JetStream in the directory `storage`, or without JetStream.
    pub(crate) async fn start(storage: Option<&Path>) -> Self {
        let found = NatsServerSearch::new().find_or_install().await.unwrap();
        let [port, monitor_port] = [(); 2].map(|()| free_port());
        let binary = found.path().to_owned();
        Self {
            process: launch(&binary, port, monitor_port, storage),
            binary,
            port,
            monitor_port,
            storage: storage.map(Path::to_owned),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Connects as soon as the server accepts connections.
    pub(crate) async fn connect(&self) -> AgentMesh {
        let url = self.url();
        eventually(|| async { AgentMesh::connect(&url).await.ok() }).await
    }

    /// Ends the server in order: all that it acknowledged is in its storage then.
    pub(crate) async fn stop(&mut self) {
        if cfg!(unix) {
            let pid = self.process.id().unwrap().to_string();
            let killed = Command::new("kill").arg(pid).status().await.unwrap();
            assert!(killed.success());
        } else {
            // The files of a process that is killed keep what was written to them.
            self.process.start_kill().unwrap();
        }
        within(self.process.wait()).await.unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = launch(
            &self.binary,
            self.port,
            self.monitor_port,
            self.storage.as_deref(),
        );
    }
}

fn launch(binary: &Path, port: u16, monitor_port: u16, storage: Option<&Path>) -> Child {
    let mut command = Command::new(binary);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    command.args(["-m", &monitor_port.to_string()]);
    if let Some(storage) = storage {
        command.arg("-js").arg("-sd").arg(storage);
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
