//! A server with the configuration of a store.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openagentmesh_auth::{Credentials, Grants, Role, ServerConfig, Store};
use openagentmesh_local::NatsServerSearch;
use serde_json::Value;
use tempfile::TempDir;

use super::Client;

/// A server that ends with the value, and its store.
pub(crate) struct AuthServer {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) store: Store,
    program: PathBuf,
    process: Child,
    config: PathBuf,
    directory: TempDir,
}

impl AuthServer {
    /// Starts a server on which everyone of the store may do what its role allows.
    pub(crate) async fn start() -> Self {
        let program = NatsServerSearch::new().find_or_install().await.unwrap();
        let directory = TempDir::new().unwrap();
        let store = Store::init(&directory.path().join("auth")).unwrap();
        let config = directory.path().join("nats-server.conf");
        std::fs::write(&config, render(&store, &directory)).unwrap();
        let process = Command::new(program.path())
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            address: String::new(),
            store,
            program: program.path().to_owned(),
            process,
            config,
            directory,
        };
        server.address = server.wait_for_port().await;
        server
    }

    async fn wait_for_port(&self) -> String {
        let file = format!("nats-server_{}.ports", self.process.id());
        let file = self.directory.path().join(file);
        let started = Instant::now();
        loop {
            let ports = std::fs::read(&file).unwrap_or_default();
            let ports: Value = serde_json::from_slice(&ports).unwrap_or_default();
            if let Some(url) = ports["nats"][0].as_str() {
                return url.trim_start_matches("nats://").to_owned();
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "no server: {}",
                std::fs::read_to_string(self.directory.path().join("log")).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Adds a user.
    pub(crate) fn user(&self, name: &str, grants: &Grants) -> Credentials {
        let name = name.parse().unwrap();
        self.store.add(&name, grants, None).unwrap()
    }

    /// Adds a user and connects as that user.
    pub(crate) async fn client(&self, name: &str, grants: &Grants) -> Client {
        Client::connect(&self.address, &self.user(name, grants))
            .await
            .unwrap()
    }

    /// An operator with the NATS client.
    pub(crate) async fn operator(&self) -> async_nats::Client {
        let grants = Grants::builder(Role::Operator).build().unwrap();
        self.nats("root", &grants).await
    }

    /// A new user with the NATS client.
    pub(crate) async fn nats(&self, name: &str, grants: &Grants) -> async_nats::Client {
        let credentials = self.user(name, grants);
        async_nats::ConnectOptions::with_credentials(&credentials.to_text())
            .unwrap()
            .custom_inbox_prefix(format!("_INBOX.{name}"))
            .connect(&self.address)
            .await
            .unwrap()
    }

    /// Makes the server read its configuration again, with the current state of the store.
    pub(crate) fn reload(&self) {
        std::fs::write(&self.config, render(&self.store, &self.directory)).unwrap();
        let status = Command::new(&self.program)
            .arg("--signal")
            .arg(format!("reload={}", self.process.id()))
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for AuthServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn render(store: &Store, directory: &TempDir) -> String {
    let path = directory.path();
    let config = ServerConfig::new(path.join("data")).port(0);
    let config = config.render(store).unwrap();
    format!("ports_file_dir: \"{}\"\n{config}", path.display())
}
