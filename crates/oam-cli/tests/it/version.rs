//! `oam version`.

use std::net::TcpListener;

use openagentmesh::agents;
use serde_json::Value;

use crate::support::{Sandbox, TestMesh};

const OAM: &str = env!("CARGO_PKG_VERSION");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_of_a_reachable_mesh_is_printed() {
    let mesh = TestMesh::start(agents![]).await;
    let output = mesh.oam(&["version", "--json"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let versions = json(&output.stdout);
    assert_eq!(versions["oam"], OAM);
    assert_eq!(versions["sdk"], OAM);
    assert_eq!(versions["protocol"], "0.2.0");
    let found = &versions["nats_server"]["found"];
    assert_eq!(versions["mesh"]["server_version"], found["version"]);
    assert_eq!(versions["mesh"]["url"], mesh.url);
    assert_eq!(versions["mesh"]["problem"], Value::Null);
    let people = mesh.oam(&["version"]);
    assert_eq!(people.code, 0, "{people:?}");
    assert!(people.stdout.starts_with("oam "), "{people:?}");
    assert!(people.stdout.contains(&mesh.url), "{people:?}");
}

#[test]
fn mesh_that_does_not_answer_is_not_an_error() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("nats://ann:secret@{}", silent.local_addr().unwrap());
    let sandbox = Sandbox::new();
    for url in ["nats://127.0.0.1:1", &silent] {
        let output = sandbox.oam(&["version", "--json", "--url", url]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
        let versions = json(&output.stdout);
        assert_eq!(versions["oam"], OAM);
        assert_eq!(versions["mesh"]["server_version"], Value::Null);
        assert!(versions["mesh"]["problem"].is_string(), "{output:?}");
        assert!(!output.stdout.contains("secret"), "{output:?}");
        let people = sandbox.oam(&["version", "--url", url]);
        assert_eq!((people.code, people.stderr.as_str()), (0, ""), "{people:?}");
        assert!(people.stdout.contains("none: "), "{people:?}");
    }
}

#[test]
fn version_of_the_client_leaves_out_the_mesh() {
    let sandbox = Sandbox::new();
    let output = sandbox.oam(&["version", "--client", "--json"]);
    assert_eq!(json(&output.stdout)["mesh"], Value::Null, "{output:?}");
    let short = sandbox.oam(&["--version"]);
    assert_eq!(short.stdout, format!("oam {OAM}\n"), "{short:?}");
}
