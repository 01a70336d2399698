//! A server with a configuration of the test's own: logins, TLS.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use openagentmesh_local::NatsServerSearch;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::eventually;

/// A server that runs with the test's configuration, and ends with the value.
pub(crate) struct SecuredServer {
    /// `host:port`.
    pub(crate) address: String,
    _process: Child,
    _directory: TempDir,
}

impl SecuredServer {
    /// Starts a server whose configuration file is `listen` and `configuration`.
    pub(crate) async fn start(configuration: &str) -> Self {
        Self::start_in(TempDir::new().unwrap(), configuration).await
    }

    /// Starts a server with JetStream, the user "admin", and the user "ann" with `permissions`, in the syntax of the
    /// server's configuration. The password of both is "pw".
    pub(crate) async fn restricted(permissions: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let configuration = format!(
            "jetstream {{ store_dir: {:?} }}\n\
             authorization {{ users: [\n\
             {{ user: admin, password: pw }}\n\
             {{ user: ann, password: pw, permissions: {{ {permissions} }} }}\n\
             ] }}",
            directory.path().join("data")
        );
        Self::start_in(directory, &configuration).await
    }

    /// As [`restricted`](Self::restricted), with a user for each of `users`: its name and its permissions.
    pub(crate) async fn with_users(users: &[(&str, String)]) -> Self {
        let directory = TempDir::new().unwrap();
        let users = users.iter().map(|(name, permissions)| {
            format!("{{ user: {name}, password: pw, permissions: {{ {permissions} }} }}")
        });
        let configuration = format!(
            "jetstream {{ store_dir: {:?} }}\n\
             authorization {{ users: [\n{{ user: admin, password: pw }}\n{}\n] }}",
            directory.path().join("data"),
            users.collect::<Vec<_>>().join("\n")
        );
        Self::start_in(directory, &configuration).await
    }

    async fn start_in(directory: TempDir, configuration: &str) -> Self {
        let program = NatsServerSearch::new().find_or_install().await.unwrap();
        let file = directory.path().join("nats-server.conf");
        let ports = directory.path().display().to_string();
        let text =
            format!("listen: \"127.0.0.1:-1\"\nports_file_dir: \"{ports}\"\n{configuration}\n");
        std::fs::write(&file, text).unwrap();
        let process = Command::new(program.path())
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let id = process.id().unwrap();
        let address = eventually(|| async { listen_address(directory.path(), id) }).await;
        Self {
            address,
            _process: process,
            _directory: directory,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}

/// The address in the ports file, once the server has written it.
fn listen_address(directory: &Path, process: u32) -> Option<String> {
    let path = directory.join(format!("nats-server_{process}.ports"));
    let ports: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let url = ports["nats"][0].as_str()?;
    Some(url.split_once("://")?.1.to_owned())
}

/// The files of a certificate authority, and of certificates that it has signed for 127.0.0.1.
pub(crate) struct Certificates {
    directory: TempDir,
}

impl Certificates {
    pub(crate) fn generate() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let directory = TempDir::new().unwrap();
        let write = |name: &str, pem: String| {
            std::fs::write(directory.path().join(name), pem).unwrap();
        };
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write(
            "ca.pem",
            authority.self_signed(&authority_key).unwrap().pem(),
        );
        let issuer = Issuer::new(authority, authority_key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The server's configuration; `verify` asks for a client certificate.
    pub(crate) fn configuration(&self, verify: bool) -> String {
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {verify} }}",
            self.path("server.pem"),
            self.path("server.key"),
            self.path("ca.pem"),
        )
    }
}
