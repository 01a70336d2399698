//! `oam mesh connect`: the `.oam-url` that it writes, and the one that it keeps.

use std::net::TcpListener;
use std::path::PathBuf;

use openagentmesh::{Endpoint, agents};

use crate::support::{Running, Sandbox, TestMesh};

/// A credentials file; a server without accounts ignores it.
const CREDENTIALS: &str = "\
-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.c2ln
------END NATS USER JWT------
-----BEGIN USER NKEY SEED-----
SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY
------END USER NKEY SEED------
";

fn endpoint(sandbox: &Sandbox) -> Endpoint {
    Endpoint::from_file(&sandbox.work().join(".oam-url")).unwrap()
}

fn unused_url() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("nats://{}", free.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connected_mesh_is_used_by_later_commands() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    let output = sandbox.oam(&["mesh", "connect", &mesh.url]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert!(output.stdout.contains(&mesh.url), "{output:?}");
    let text = std::fs::read_to_string(sandbox.work().join(".oam-url")).unwrap();
    assert_eq!(text, format!("{}\n", mesh.url));
    assert_eq!(endpoint(sandbox).url, mesh.url);

    let catalog = sandbox.oam(&["mesh", "catalog"]);
    assert_eq!(catalog.code, 0, "{catalog:?}");
    assert!(catalog.stderr.contains(&mesh.url), "{catalog:?}");
    let again = sandbox.oam(&["mesh", "connect", &mesh.url]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{again:?}");

    let down = sandbox.oam(&["mesh", "down"]);
    assert_eq!(down.code, 1, "not started by oam mesh up: {down:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_without_scheme_is_read_back_unchanged() {
    let mesh = TestMesh::start(agents![]).await;
    let address = mesh.url.strip_prefix("nats://").unwrap();
    let output = mesh.sandbox.oam(&["mesh", "connect", address]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(endpoint(&mesh.sandbox).url, address);
    assert_eq!(mesh.sandbox.oam(&["mesh", "catalog"]).code, 0);
}

#[test]
fn unreachable_mesh_is_not_written() {
    let sandbox = Sandbox::new();
    let url = unused_url();
    let output = sandbox.oam(&["mesh", "connect", &url]);
    assert_eq!((output.code, output.stdout.as_str()), (3, ""), "{output:?}");
    assert!(
        output.stderr.contains("error[connection_failed]"),
        "{output:?}"
    );
    assert!(output.stderr.contains(&url), "{output:?}");
    assert_eq!(sandbox.url(), None);

    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "nats://192.0.2.1:4222\n").unwrap();
    assert_eq!(sandbox.oam(&["mesh", "connect", &url]).code, 3);
    assert_eq!(sandbox.url().as_deref(), Some("nats://192.0.2.1:4222"));
    let output = sandbox.oam(&["mesh", "connect", "nats://"]);
    assert_eq!(output.code, 2, "{output:?}");
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_path_is_relative_to_the_url_file() {
    let mesh = TestMesh::start(agents![]).await;
    let work = mesh.sandbox.work().canonicalize().unwrap();
    let below = work.join("secrets");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("agent.creds"), CREDENTIALS).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere
        .path()
        .canonicalize()
        .unwrap()
        .join("o'ther.creds");
    std::fs::write(&outside, CREDENTIALS).unwrap();

    let relative = PathBuf::from("secrets/agent.creds");
    for (given, written) in [
        (relative.clone(), relative.clone()),
        (
            PathBuf::from("./secrets/../secrets/agent.creds"),
            relative.clone(),
        ),
        (work.join(&relative), relative),
        (outside.clone(), outside),
    ] {
        let output = mesh.sandbox.oam(&[
            "mesh",
            "connect",
            &mesh.url,
            "--creds",
            given.to_str().unwrap(),
        ]);
        assert_eq!(output.code, 0, "{given:?}: {output:?}");
        let text = std::fs::read_to_string(work.join(".oam-url")).unwrap();
        assert!(
            text.contains(written.to_str().unwrap()),
            "{given:?}: {text}"
        );
        let endpoint = endpoint(&mesh.sandbox);
        assert_eq!(endpoint.url, mesh.url);
        let named = endpoint.credentials.unwrap().canonicalize().unwrap();
        assert_eq!(named, work.join(&given).canonicalize().unwrap());
        let catalog = mesh.sandbox.oam(&["mesh", "catalog"]);
        assert_eq!(catalog.code, 0, "{given:?}: {catalog:?}");
    }

    std::fs::remove_file(work.join(".oam-url")).unwrap();
    let output = mesh
        .sandbox
        .oam(&["mesh", "connect", &mesh.url, "--creds", "nosuch.creds"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("nosuch.creds"), "{output:?}");
    assert_eq!(mesh.sandbox.url(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_the_same_mesh_are_kept() {
    let mesh = TestMesh::start(agents![]).await;
    let work = mesh.sandbox.work();
    std::fs::write(work.join("a.creds"), CREDENTIALS).unwrap();
    let connect = ["mesh", "connect", &mesh.url];
    let with_creds = [&connect[..], &["--creds", "a.creds"]].concat();
    assert_eq!(mesh.sandbox.oam(&with_creds).code, 0);
    assert_eq!(mesh.sandbox.oam(&connect).code, 0);
    let kept = endpoint(&mesh.sandbox).credentials.unwrap();
    assert!(kept.ends_with("a.creds"), "{kept:?}");
    let other = mesh.url.replace("127.0.0.1", "localhost");
    let output = mesh.sandbox.oam(&["mesh", "connect", &other]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(endpoint(&mesh.sandbox).credentials, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_is_written_and_not_printed() {
    use std::os::unix::fs::PermissionsExt;

    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    let secret = mesh.server.system_password().to_owned();
    let login = format!("nats://{}:{secret}@", mesh.server.system_user());
    let url = mesh.url.replace("nats://", &login);
    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "nats://old:0ther@192.0.2.1:4222\n").unwrap();
    let output = sandbox.oam(&["mesh", "connect", &url]);
    assert_eq!(output.code, 0, "{output:?}");
    let printed = output.stdout + &output.stderr;
    assert!(printed.contains(&mesh.url), "{printed}");
    assert!(
        printed.contains("nats://192.0.2.1:4222 before"),
        "{printed}"
    );
    for secret in [&secret, "0ther"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert_eq!(endpoint(sandbox).url, url);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "private to its owner");
    for arguments in [["mesh", "down"], ["mesh", "up"]] {
        let output = sandbox.oam(&arguments);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(!output.stderr.contains(&secret), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn url_file_of_a_running_mesh_is_kept() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    assert_eq!(sandbox.oam(&["mesh", "up", "--port", "0"]).code, 0);
    let own = sandbox.url().unwrap();
    let output = sandbox.oam(&["mesh", "connect", &mesh.url]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("would be overwritten"), "{output:?}");
    assert!(output.stderr.contains(&own), "{output:?}");
    assert!(output.stderr.contains("oam mesh down"), "{output:?}");
    assert_eq!(sandbox.url().as_ref(), Some(&own));

    let same = own.replace("127.0.0.1", "localhost");
    let output = sandbox.oam(&["mesh", "connect", &same]);
    assert_eq!(output.code, 0, "the same mesh: {output:?}");
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
    assert_eq!(sandbox.oam(&["mesh", "connect", &mesh.url]).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreground_mesh_removes_only_its_own_url() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    let mut up = Running::start(sandbox.command(&["mesh", "up", "--foreground", "--port", "0"]));
    up.line().await.unwrap();
    let own = sandbox.url().unwrap();
    let output = sandbox.oam(&["mesh", "connect", &mesh.url]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains(&own), "{output:?}");
    up.signal("-INT");
    assert_eq!(up.end().await.0.code(), Some(0));
    assert_eq!(sandbox.url(), Some(mesh.url.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overriding_variable_is_reported() {
    let mesh = TestMesh::start(agents![]).await;
    let output = mesh
        .sandbox
        .command(&["mesh", "connect", &mesh.url])
        .env("OAM_URL", "nats://user:s3cret@127.0.0.1:1")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("OAM_URL is set to nats://127.0.0.1:1 and takes precedence over .oam-url"),
        "{stderr}"
    );
}
