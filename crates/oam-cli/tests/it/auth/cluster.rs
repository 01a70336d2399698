//! A mesh with users on a cluster.

use openagentmesh::{AgentMesh, agent, agents};

use super::{json, ok};
use crate::support::{Sandbox, within_deadline};

/// Returns the text in upper case.
#[agent(name = "shop.shout")]
async fn shout(text: String) -> String {
    text.to_uppercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_with_users_on_a_cluster_outlives_a_server_and_forgets_the_revoked() {
    let sandbox = Sandbox::new();
    let up = ["mesh", "up", "--port", "0", "--auth", "--cluster", "3"];
    let up = json(&sandbox, &up);
    let url = up["url"].as_str().unwrap();
    assert_eq!(url.split(',').count(), 3, "{up}");
    let add = ["auth", "user", "add", "shop-1", "--role", "worker"];
    ok(&sandbox, &[&add[..], &["--agent", "shop.>"]].concat());
    let creds = sandbox.work().join("shop-1.creds");
    let builder = AgentMesh::builder().url(url).credentials(&creds);
    let worker = within_deadline("the worker connects", builder.connect()).await;
    let worker = worker.unwrap();
    within_deadline("the agent is listed", async {
        // A monitor that waits for the leader of a bucket may list it too late.
        while let Err(error) = worker.register(agents![shout]).await {
            println!("{error}");
        }
    })
    .await;

    // As the invoker whose credentials are in .oam-url.
    let call = ["agent", "call", "shop.shout", "\"fresh\""];
    let called = sandbox.until_code(&call, 0);
    assert_eq!(called.stdout, "\"FRESH\"\n");
    // An invoker only reads values. The answer is not this one while the cluster elects a leader of the bucket.
    sandbox.until_code(&["kv", "put", "motto", "fresh"], 4);

    let killed = std::process::Command::new("kill")
        .args(["-9", &up["pids"][0].to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let called = sandbox.until_code(&call, 0);
    assert_eq!(called.stdout, "\"FRESH\"\n");

    let creds = creds.to_str().unwrap();
    let write = ["kv", "put", "motto", "fresh", "--creds", creds];
    sandbox.until_code(&write, 0);
    let revoked = json(&sandbox, &["auth", "user", "revoke", "shop-1"]);
    assert_eq!(revoked["reloaded"], serde_json::json!([url]));
    for server in url.split(',').skip(1) {
        sandbox.until_code(&[&write[..], &["--url", server]].concat(), 4);
    }
    ok(&sandbox, &["mesh", "down"]);
}

#[test]
fn member_of_a_cluster_needs_a_name_and_a_route() {
    let sandbox = Sandbox::new();
    ok(&sandbox, &["auth", "init"]);
    let conf = ["auth", "server-conf", "--cluster", "mesh"];
    let without_name = sandbox.oam(&[&conf[..], &["--route", "n2:6222"]].concat());
    without_name.assert_failure(&conf, 2, &["--server-name"]);
    let conf = [&conf[..], &["--server-name", "n1", "--route"]].concat();
    let invalid = sandbox.oam(&[&conf[..], &["n2"]].concat());
    invalid.assert_failure(
        &conf,
        2,
        &["invalid address of a server 'n2'", "10.0.0.2:6222"],
    );

    let printed = sandbox.oam(&[&conf[..], &["n2:6222"]].concat());
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.stderr.contains("keep it private"), "{printed:?}");
    assert!(!printed.stderr.contains("listens on"), "{printed:?}");
    let open = ["n2:6222", "--cluster-listen", "0.0.0.0:6222"];
    let open = sandbox.oam(&[&conf[..], &open].concat());
    let sentence = "listens on 0.0.0.0:6222 for the other servers";
    assert!(open.stderr.contains(sentence), "{open:?}");
    let password = sandbox
        .home()
        .join(".agentmesh/auth/default/routes.password");
    let password = std::fs::read_to_string(password).unwrap();
    for part in [
        "server_name: \"n1\"",
        "listen: \"127.0.0.1:6222\"",
        &format!("\"nats-route://route:{}@n2:6222\"", password.trim()),
    ] {
        assert!(printed.stdout.contains(part), "{part}: {printed:?}");
    }
}
