//! A server with a configuration of the test's own.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use openagentmesh_local::NatsServerSearch;
use serde_json::Value;
use tempfile::TempDir;

/// A server that ends with the value.
pub(crate) struct ConfiguredServer {
    /// `host:port`.
    pub(crate) address: String,
    process: Child,
    _directory: TempDir,
}

impl ConfiguredServer {
    /// Starts a server whose configuration file is `configuration`, the address, and JetStream with `jetstream`.
    pub(crate) async fn start(jetstream: bool, configuration: &str) -> Self {
        let program = NatsServerSearch::new().find_or_install().await.unwrap();
        let directory = TempDir::new().unwrap();
        let path = directory.path().display();
        let jetstream = match jetstream {
            true => format!("jetstream {{ store_dir: \"{path}/data\" }}\n"),
            false => String::new(),
        };
        let configuration = format!(
            "listen: \"127.0.0.1:-1\"\nports_file_dir: \"{path}\"\n{jetstream}{configuration}\n"
        );
        let file = directory.path().join("nats-server.conf");
        std::fs::write(&file, configuration).unwrap();
        let process = std::process::Command::new(program.path())
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ports = directory
            .path()
            .join(format!("nats-server_{}.ports", process.id()));
        let started = Instant::now();
        let address = loop {
            assert!(started.elapsed() < Duration::from_secs(20), "no server");
            let ports = std::fs::read(&ports).unwrap_or_default();
            let ports: Value = serde_json::from_slice(&ports).unwrap_or_default();
            if let Some(url) = ports["nats"][0].as_str() {
                break url.trim_start_matches("nats://").to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Self {
            address,
            process,
            _directory: directory,
        }
    }

    /// The URL with a login of `user`, whose password is "pw".
    pub(crate) fn url_of(&self, user: &str) -> String {
        format!("nats://{user}:pw@{}", self.address)
    }
}

impl Drop for ConfiguredServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
