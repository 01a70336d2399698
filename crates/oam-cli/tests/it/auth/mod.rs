//! `oam auth`, and a mesh with users.

mod cluster;

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{ConfiguredServer, Running, Sandbox};

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = sandbox.oam(&[arguments, &["--json"]].concat());
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

fn ok(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.oam(arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    output.stdout
}

#[test]
fn user_is_added_listed_rotated_and_revoked() {
    let sandbox = Sandbox::new();
    ok(&sandbox, &["auth", "init"]);
    let add = [
        "auth", "user", "add", "shop-1", "--role", "worker", "--agent", "shop.>",
    ];
    let added = json(&sandbox, &[&add[..], &["--expires", "30d"]].concat());
    assert_eq!(added["agents"], serde_json::json!(["shop.>"]));
    assert_eq!(added["state"], "active");
    let path = sandbox.work().join("shop-1.creds");
    assert_eq!(
        added["creds"],
        path.canonicalize().unwrap().to_str().unwrap()
    );
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let before = std::fs::read_to_string(&path).unwrap();
    sandbox
        .oam(&add)
        .assert_failure(&add, 1, &["user 'shop-1' exists"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    let rotated = json(&sandbox, &["auth", "user", "rotate", "shop-1"]);
    assert_eq!(rotated["reloaded"], serde_json::json!([]));
    assert_ne!(std::fs::read_to_string(&path).unwrap(), before);

    // A file with something else, such as the only copy of another key, is not replaced.
    ok(
        &sandbox,
        &["auth", "user", "add", "boss", "--role", "operator"],
    );
    let account = sandbox.home().join(".agentmesh/auth/default/app.seed");
    for other in [sandbox.work().join("boss.creds"), account] {
        let before = std::fs::read(&other).unwrap();
        let other_path = other.to_str().unwrap();
        for command in [
            &["auth", "user", "rotate", "shop-1"][..],
            &["auth", "user", "add", "shop-3", "--role", "observer"],
        ] {
            let refused = sandbox.oam(&[command, &["--output", other_path]].concat());
            refused.assert_failure(command, 2, &["is not the credentials of user"]);
            assert!(std::fs::read(&other).unwrap() == before, "{other:?}");
        }
    }

    // A file that cannot be written leaves the user as it is.
    let list = || json(&sandbox, &["auth", "user", "list"]);
    let known = list();
    let missing = sandbox.work().join("missing/shop.creds");
    for output in [missing.as_path(), sandbox.work()] {
        let output = ["--output", output.to_str().unwrap()];
        for command in [
            &["auth", "user", "rotate", "shop-1"][..],
            &["auth", "user", "add", "shop-3", "--role", "observer"],
        ] {
            let failed = sandbox.oam(&[command, &output].concat());
            assert_ne!(failed.code, 0, "{failed:?}");
            assert_eq!(list(), known);
        }
    }

    ok(&sandbox, &["auth", "user", "revoke", "shop-1"]);
    let users = json(&sandbox, &["auth", "user", "list"]);
    assert_eq!(users[1]["state"], "revoked");
    let unknown = sandbox.oam(&["auth", "user", "revoke", "shop-2"]);
    assert_eq!(unknown.code, 5, "{unknown:?}");
    assert!(unknown.stderr.contains("shop-1"), "{unknown:?}");
}

#[test]
fn permissions_that_do_not_fit_the_role_are_invalid() {
    let sandbox = Sandbox::new();
    ok(&sandbox, &["auth", "init"]);
    for (options, problem) in [
        (&["--role", "worker"][..], "serves no agent"),
        (
            &["--role", "observer", "--agent", "a"],
            "concerns all agents",
        ),
        (&["--role", "root"], "invalid role"),
        (
            &["--role", "invoker", "--agent", "a b"],
            "invalid agent pattern",
        ),
        (&["--role", "invoker", "--kv", "a"], "PATTERN:rw"),
        (
            &["--role", "invoker", "--kv", "none", "--kv", "a:rw"],
            "--kv none and other values",
        ),
        (
            &["--role", "invoker", "--kv", "limits.>:r"],
            "cannot narrow what is read",
        ),
        (
            &["--role", "invoker", "--files", "reports/>:rw"],
            "exact name",
        ),
    ] {
        let output = sandbox.oam(&[&["auth", "user", "add", "ada"], options].concat());
        output.assert_failure(options, 2, &[problem]);
    }
    assert!(!sandbox.work().join("ada.creds").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_starts_with_the_printed_configuration_and_knows_the_user() {
    let sandbox = Sandbox::new();
    ok(&sandbox, &["auth", "init"]);
    let configuration = ok(&sandbox, &["auth", "server-conf", "--port", "0"]);
    assert!(
        configuration.contains("listen: \"127.0.0.1:-1\""),
        "{configuration}"
    );
    let data = sandbox.work().join("data");
    let options = ["--store-dir", data.to_str().unwrap(), "--listen", "0.0.0.0"];
    let open = sandbox.oam(&[&["auth", "server-conf"], &options[..]].concat());
    assert!(
        open.stderr
            .contains("every program that reaches this address"),
        "{open:?}"
    );
    // The address is that of the test server.
    let configuration = configuration.replace("listen: \"127.0.0.1:-1\"\n", "");
    let server = ConfiguredServer::start(false, &configuration).await;
    let url = format!("nats://{}", server.address);

    let add = [
        "auth",
        "user",
        "add",
        "ada",
        "--role",
        "invoker",
        "--agent",
        "shop.price",
    ];
    ok(&sandbox, &add);
    let whoami = ["auth", "whoami", "--url", &url];
    let known = json(&sandbox, &[&whoami[..], &["--creds", "ada.creds"]].concat());
    assert_eq!(known["name"], "ada");
    assert_eq!(known["role"], "invoker");
    assert_eq!(known["expires_at"], Value::Null);
    assert!(known["user"].as_str().unwrap().starts_with('U'), "{known}");
    let anonymous = sandbox.oam(&whoami);
    anonymous.assert_failure(&whoami, 4, &["connection_denied"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_with_users_admits_them_alone_and_forgets_the_revoked() {
    let sandbox = Sandbox::new();
    let up = json(&sandbox, &["mesh", "up", "--port", "0", "--auth"]);
    let url = up["url"].as_str().unwrap();
    let known = json(&sandbox, &["auth", "whoami"]);
    assert_eq!(known["name"], "local-invoker");
    let creds = sandbox.work().join("ada.creds");
    let creds = creds.to_str().unwrap();
    ok(
        &sandbox,
        &["auth", "user", "add", "ada", "--role", "operator"],
    );
    let put = ["kv", "put", "motto", "fresh", "--creds", creds];
    ok(&sandbox, &put);
    // Without the right to become the monitor, it does not wait for that.
    sandbox
        .oam(&["mesh", "monitor"])
        .assert_failure(&["mesh", "monitor"], 4, &["mesh-leases"]);
    let mut watch = Running::start(sandbox.command(&["kv", "watch", ">", "--creds", creds]));
    watch.first_byte().await;
    let revoked = json(&sandbox, &["auth", "user", "revoke", "ada"]);
    assert_eq!(revoked["reloaded"], serde_json::json!([url]));
    // The server reads its configuration soon after the signal.
    let started = std::time::Instant::now();
    while sandbox.oam(&put).code != 4 {
        assert!(
            started.elapsed().as_secs() < 20,
            "a revoked user is refused"
        );
    }
    let (status, stderr) = watch.end().await;
    assert_eq!(
        status.code(),
        Some(4),
        "a command that runs ends, too: {stderr}"
    );
    // A rotation replaces the file that the mesh itself reads.
    let rotated = json(&sandbox, &["auth", "user", "rotate", "local-invoker"]);
    let kept = sandbox
        .home()
        .join(".agentmesh/auth/default/creds/local-invoker.creds");
    let kept = kept.canonicalize().unwrap();
    assert_eq!(rotated["creds"], kept.to_str().unwrap());
    sandbox.until_code(&["mesh", "catalog"], 0);
    ok(&sandbox, &["mesh", "down"]);
    // The users are still there for the next mesh.
    let users = json(&sandbox, &["auth", "user", "list"]);
    assert_eq!(users.as_array().unwrap().len(), 4);
}

#[test]
fn user_is_explained_in_words_and_subjects() {
    let sandbox = Sandbox::new();
    let explained = ok(
        &sandbox,
        &[
            "auth",
            "explain",
            "--role",
            "worker",
            "--agent",
            "shop.price",
        ],
    );
    for part in [
        "serves the agents",
        "It may serve these agents",
        "mesh.agent.shop.price",
        "_INBOX.NAME.>",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let table = ok(&sandbox, &["auth", "explain", "--table"]);
    assert!(table.contains("| read the catalog | publish"), "{table}");
}
