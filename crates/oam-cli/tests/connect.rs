//! `oam mesh connect`: what it writes, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::TcpListener;
use std::path::PathBuf;

use common::{Running, Sandbox, Served};
use openagentmesh::{Endpoint, agents};

/// A credentials file that a server without accounts of its own does not look at.
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

fn nobody_listens_at() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("nats://{}", free.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mesh_is_named_for_later_commands() {
    let served = Served::start(agents![]).await;
    let sandbox = &served.sandbox;
    let ran = sandbox.oam(&["mesh", "connect", &served.url]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains(&served.url), "{ran:?}");
    let text = std::fs::read_to_string(sandbox.work().join(".oam-url")).unwrap();
    assert_eq!(text, format!("{}\n", served.url));
    assert_eq!(endpoint(sandbox).url, served.url);

    let catalog = sandbox.oam(&["mesh", "catalog"]);
    assert_eq!(catalog.code, 0, "{catalog:?}");
    assert!(catalog.stderr.contains(&served.url), "{catalog:?}");
    let again = sandbox.oam(&["mesh", "connect", &served.url]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{again:?}");

    let down = sandbox.oam(&["mesh", "down"]);
    assert_eq!(down.code, 1, "it was not started here: {down:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_scheme_is_read_back_as_it_was_given() {
    let served = Served::start(agents![]).await;
    let address = served.url.strip_prefix("nats://").unwrap();
    let ran = served.sandbox.oam(&["mesh", "connect", address]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(endpoint(&served.sandbox).url, address);
    assert_eq!(served.sandbox.oam(&["mesh", "catalog"]).code, 0);
}

#[test]
fn a_mesh_that_does_not_answer_is_not_named() {
    let sandbox = Sandbox::new();
    let url = nobody_listens_at();
    let ran = sandbox.oam(&["mesh", "connect", &url]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("error[connection_failed]"), "{ran:?}");
    assert!(ran.stderr.contains(&url), "{ran:?}");
    assert_eq!(sandbox.url(), None);

    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "nats://192.0.2.1:4222\n").unwrap();
    assert_eq!(sandbox.oam(&["mesh", "connect", &url]).code, 1);
    assert_eq!(sandbox.url().as_deref(), Some("nats://192.0.2.1:4222"));
    let ran = sandbox.oam(&["mesh", "connect", "nats://"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_named_as_seen_from_the_file() {
    let served = Served::start(agents![]).await;
    let work = served.sandbox.work().canonicalize().unwrap();
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
        let ran = served.sandbox.oam(&[
            "mesh",
            "connect",
            &served.url,
            "--creds",
            given.to_str().unwrap(),
        ]);
        assert_eq!(ran.code, 0, "{given:?}: {ran:?}");
        let text = std::fs::read_to_string(work.join(".oam-url")).unwrap();
        assert!(
            text.contains(written.to_str().unwrap()),
            "{given:?}: {text}"
        );
        let endpoint = endpoint(&served.sandbox);
        assert_eq!(endpoint.url, served.url);
        let named = endpoint.credentials.unwrap().canonicalize().unwrap();
        assert_eq!(named, work.join(&given).canonicalize().unwrap());
        let catalog = served.sandbox.oam(&["mesh", "catalog"]);
        assert_eq!(catalog.code, 0, "{given:?}: {catalog:?}");
    }

    std::fs::remove_file(work.join(".oam-url")).unwrap();
    let ran = served
        .sandbox
        .oam(&["mesh", "connect", &served.url, "--creds", "nosuch.creds"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("nosuch.creds"), "{ran:?}");
    assert_eq!(served.sandbox.url(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_written_and_never_printed() {
    use std::os::unix::fs::PermissionsExt;

    let served = Served::start(agents![]).await;
    let sandbox = &served.sandbox;
    let secret = served.server.system_password().to_owned();
    let login = format!("nats://{}:{secret}@", served.server.system_user());
    let url = served.url.replace("nats://", &login);
    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "nats://old:0ther@192.0.2.1:4222\n").unwrap();
    let ran = sandbox.oam(&["mesh", "connect", &url]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = ran.stdout + &ran.stderr;
    assert!(said.contains(&served.url), "{said}");
    assert!(said.contains("nats://192.0.2.1:4222 before"), "{said}");
    for secret in [&secret, "0ther"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert_eq!(endpoint(sandbox).url, url);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else can read it");
    for arguments in [["mesh", "down"], ["mesh", "up"]] {
        let ran = sandbox.oam(&arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!ran.stderr.contains(&secret), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_that_runs_here_is_not_forgotten() {
    let served = Served::start(agents![]).await;
    let sandbox = &served.sandbox;
    assert_eq!(sandbox.oam(&["mesh", "up", "--port", "0"]).code, 0);
    let own = sandbox.url().unwrap();
    let ran = sandbox.oam(&["mesh", "connect", &served.url]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("would be overwritten"), "{ran:?}");
    assert!(ran.stderr.contains(&own), "{ran:?}");
    assert!(ran.stderr.contains("oam mesh down"), "{ran:?}");
    assert_eq!(sandbox.url().as_ref(), Some(&own));

    let same = own.replace("127.0.0.1", "localhost");
    let ran = sandbox.oam(&["mesh", "connect", &same]);
    assert_eq!(ran.code, 0, "it is the same mesh: {ran:?}");
    assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
    assert_eq!(sandbox.oam(&["mesh", "connect", &served.url]).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_in_the_foreground_takes_only_its_own_name_with_it() {
    let served = Served::start(agents![]).await;
    let sandbox = &served.sandbox;
    let mut up = Running::start(sandbox.command(&["mesh", "up", "--foreground", "--port", "0"]));
    up.line().await.unwrap();
    let own = sandbox.url().unwrap();
    let ran = sandbox.oam(&["mesh", "connect", &served.url]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains(&own), "it is said: {ran:?}");
    up.signal("-INT");
    assert_eq!(up.end().await.0.code(), Some(0));
    assert_eq!(sandbox.url(), Some(served.url.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_that_go_before_the_file_are_named() {
    let served = Served::start(agents![]).await;
    let ran = served
        .sandbox
        .command(&["mesh", "connect", &served.url])
        .env("OAM_URL", "nats://user:s3cret@127.0.0.1:1")
        .output()
        .unwrap();
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{stderr}");
    assert!(
        stderr.contains("OAM_URL is set to nats://127.0.0.1:1 and goes before .oam-url"),
        "{stderr}"
    );
}
