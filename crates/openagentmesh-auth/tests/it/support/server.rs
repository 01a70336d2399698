//! A server with the configuration of a store.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openagentmesh_auth::{Credentials, Grants, Role, ServerConfig, Store};
use openagentmesh_local::NatsServerSearch;
use serde_json::Value;
use tempfile::TempDir;

use super::Client;

/// A server that ends with the value.
pub(crate) struct ServerProcess {
    /// `host:port`.
    pub(crate) address: String,
    program: PathBuf,
    process: Child,
}

impl ServerProcess {
    /// Starts a server with `configuration` and files in `directory`. Returns once it listens.
    pub(crate) async fn start(directory: &Path, configuration: &str) -> Self {
        let program = NatsServerSearch::new().find_or_install().await.unwrap();
        let config = directory.join("nats-server.conf");
        write_configuration(directory, configuration);
        let process = Command::new(program.path())
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            address: String::new(),
            program: program.path().to_owned(),
            process,
        };
        server.address = server.wait_for_port(directory).await;
        server
    }

    async fn wait_for_port(&self, directory: &Path) -> String {
        let file = directory.join(format!("nats-server_{}.ports", self.process.id()));
        let started = Instant::now();
        loop {
            let ports = std::fs::read(&file).unwrap_or_default();
            let ports: Value = serde_json::from_slice(&ports).unwrap_or_default();
            if let Some((_, address)) = ports["nats"][0]
                .as_str()
                .and_then(|url| url.split_once("://"))
            {
                return address.to_owned();
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "no server: {}",
                std::fs::read_to_string(directory.join("log")).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn reload(&self) {
        let status = Command::new(&self.program)
            .arg("--signal")
            .arg(format!("reload={}", self.process.id()))
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A server with a store.
pub(crate) struct AuthServer {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) store: Store,
    process: ServerProcess,
    directory: TempDir,
}

impl AuthServer {
    /// Starts a server on which everyone of the store may do what its role allows.
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::init(&directory.path().join("auth")).unwrap();
        let process = ServerProcess::start(directory.path(), &render(&store, &directory)).await;
        Self {
            address: process.address.clone(),
            store,
            process,
            directory,
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
        write_configuration(self.directory.path(), &render(&self.store, &self.directory));
        self.process.reload();
    }
}

fn render(store: &Store, directory: &TempDir) -> String {
    let config = ServerConfig::new(directory.path().join("data")).port(0);
    config.render(store).unwrap()
}

/// The server writes its port into a file.
fn write_configuration(directory: &Path, configuration: &str) {
    let path = directory.display();
    let text = format!("ports_file_dir: \"{path}\"\n{configuration}");
    std::fs::write(directory.join("nats-server.conf"), text).unwrap();
}
