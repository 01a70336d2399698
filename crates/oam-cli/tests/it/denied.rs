//! Commands that the server does not permit, and servers that cannot be used: each names the cause and the remedy.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use openagentmesh::AgentMesh;
use openagentmesh_local::NatsServerSearch;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Sandbox;

/// A server with JetStream and the user "ann", who may not publish to "mesh.agent.echo" and the key "secret".
struct RestrictedServer {
    address: String,
    process: Child,
    _directory: TempDir,
}

impl RestrictedServer {
    async fn start() -> Self {
        let program = NatsServerSearch::new().find_or_install().await.unwrap();
        let directory = TempDir::new().unwrap();
        let path = directory.path().display();
        let configuration = format!(
            "listen: \"127.0.0.1:-1\"\nports_file_dir: \"{path}\"\njetstream {{ store_dir: \"{path}/data\" }}\n\
             authorization {{ users: [\n\
             {{ user: ann, password: pw, permissions: {{ publish: {{ deny: \
             [\"mesh.agent.echo\", \"$KV.mesh-context.secret\"] }} }} }} ] }}\n"
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

    fn url(&self) -> String {
        format!("nats://ann:pw@{}", self.address)
    }
}

impl Drop for RestrictedServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_command_names_the_subject() {
    let server = RestrictedServer::start().await;
    let url = server.url();
    let mesh = AgentMesh::connect(&url).await.unwrap();
    mesh.create_buckets().await.unwrap();
    let sandbox = Sandbox::new();
    for (arguments, subject) in [
        (["agent", "call", "echo", "7"], "mesh.agent.echo"),
        (["kv", "put", "secret", "x"], "$KV.mesh-context.secret"),
    ] {
        let output = sandbox.oam(&[&arguments[..], &["--url", &url]].concat());
        assert_eq!(output.code, 1, "{output:?}");
        assert!(
            output.stderr.contains("error[connection_denied]"),
            "{output:?}"
        );
        assert!(output.stderr.contains(subject), "{output:?}");
        assert!(!output.stderr.contains("--timeout"), "{output:?}");
    }
    let put = sandbox.oam(&["kv", "put", "open", "x", "--url", &url]);
    assert_eq!(put.code, 0, "{put:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_credentials_name_the_option() {
    let server = RestrictedServer::start().await;
    let url = format!("nats://{}", server.address);
    let output = Sandbox::new().oam(&["mesh", "catalog", "--url", &url]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("got none"), "{output:?}");
    assert!(output.stderr.contains("--creds FILE"), "{output:?}");
}

#[test]
fn unsupported_scheme_is_a_usage_error() {
    let output = Sandbox::new().oam(&["mesh", "catalog", "--url", "wss://127.0.0.1:4222"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("use tls://"), "{output:?}");
}
