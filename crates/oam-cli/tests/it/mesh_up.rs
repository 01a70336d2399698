//! `oam mesh up` and `oam mesh down`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{CommandOutput, Running, Sandbox};

const READ_TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn mesh_in_the_background_runs_until_down() {
    let sandbox = Sandbox::new();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 0, "{up:?}");
    let url = sandbox.url().expect(".oam-url names the mesh");
    assert!(up.stdout.contains(&url), "{up:?}");

    let second = sandbox.oam(&["mesh", "up"]);
    assert_eq!(second.code, 1);
    assert!(
        second.stderr.contains("a mesh is already running"),
        "{second:?}"
    );
    assert!(
        second.stderr.contains("stop it first: oam mesh down"),
        "{second:?}"
    );

    let catalog = sandbox.oam(&["mesh", "catalog"]);
    assert_eq!((catalog.code, catalog.stdout.as_str()), (0, ""));
    assert!(
        catalog.stderr.contains("no agents on the mesh"),
        "{catalog:?}"
    );

    let down = sandbox.oam(&["mesh", "down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert_eq!(sandbox.url(), None);
    let again = sandbox.oam(&["mesh", "down"]);
    assert_eq!(again.code, 0, "down is idempotent: {again:?}");

    let gone = sandbox.oam(&["mesh", "catalog", "--url", &url]);
    assert_eq!(gone.code, 3);
    assert!(gone.stderr.contains("error[connection_failed]"), "{gone:?}");
    assert!(gone.stderr.contains("check the port"), "{gone:?}");
    std::fs::write(sandbox.work().join(".oam-url"), &url).unwrap();
    let gone = sandbox.oam(&["mesh", "catalog"]);
    assert!(gone.stderr.contains("try: oam mesh up"), "{gone:?}");
    std::fs::remove_file(sandbox.work().join(".oam-url")).unwrap();
}

#[test]
fn mesh_is_found_from_directories_below() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.oam(&["mesh", "up", "--port", "0"]).code, 0);
    let below = sandbox.work().join("below");
    std::fs::create_dir(&below).unwrap();
    let catalog = sandbox
        .command(&["mesh", "catalog"])
        .current_dir(&below)
        .output()
        .unwrap();
    assert!(catalog.status.success());
    let second = sandbox
        .command(&["mesh", "up"])
        .current_dir(&below)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let down = sandbox
        .command(&["mesh", "down"])
        .current_dir(&below)
        .output()
        .unwrap();
    assert!(down.status.success());
    assert_eq!(sandbox.url(), None);
}

#[test]
fn taken_port_is_rejected_with_a_hint() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [
        &["mesh", "up", "--port", port.as_str()][..],
        &["mesh", "up", "--foreground", "--port", port.as_str()],
    ] {
        let up = sandbox.oam(arguments);
        assert_eq!(up.code, 1, "{up:?}");
        assert!(up.stderr.contains(&format!("port {port}")), "{up:?}");
        assert!(up.stderr.contains("another port"), "{up:?}");
        assert_eq!(sandbox.url(), None, "no .oam-url is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_in_the_foreground_ends_with_its_signal() {
    for signal in ["-INT", "-TERM"] {
        let sandbox = Sandbox::new();
        let mut up =
            Running::start(sandbox.command(&["mesh", "up", "--foreground", "--port", "0"]));
        let line = up.line().await.unwrap();
        let url = sandbox.url().expect(".oam-url names the mesh");
        assert!(line.contains(&url), "{line}");
        assert_eq!(sandbox.oam(&["mesh", "catalog"]).code, 0);

        let down = sandbox.oam(&["mesh", "down"]);
        assert_eq!(down.code, 1, "not started in the background: {down:?}");
        assert!(sandbox.url().is_some());

        up.signal(signal);
        assert_eq!(up.end().await.0.code(), Some(0));
        assert_eq!(sandbox.url(), None);
        assert_eq!(sandbox.oam(&["mesh", "catalog", "--url", &url]).code, 3);
    }
}

#[test]
fn url_file_of_another_mesh_is_kept() {
    let sandbox = Sandbox::new();
    let file = sandbox.work().join(".oam-url");
    std::fs::write(&file, "url = \"nats://192.0.2.1:4222\"\n").unwrap();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 1);
    assert!(up.stderr.contains("would be overwritten"), "{up:?}");
    let down = sandbox.oam(&["mesh", "down"]);
    assert_eq!(down.code, 1);
    assert!(
        down.stderr.contains("was not started by oam mesh up"),
        "{down:?}"
    );
    assert!(file.is_file(), "not removed either");
    std::fs::write(&file, "nonsense\n").unwrap();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 2);
    assert!(up.stderr.contains("error[configuration]"), "{up:?}");
    assert!(up.stderr.contains(".oam-url"), "{up:?}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn url_file_of_a_stopped_mesh_is_removed() {
    let sandbox = Sandbox::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    std::fs::write(sandbox.work().join(".oam-url"), format!("nats://{free}\n")).unwrap();
    let down = sandbox.oam(&["mesh", "down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(down.stdout.contains("is not running"), "{down:?}");
    assert_eq!(sandbox.url(), None);
}

#[test]
fn mesh_of_another_directory_is_forgotten_and_keeps_running() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.oam(&["mesh", "up", "--port", "0"]).code, 0);
    let url = sandbox.url().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let oam_elsewhere = |arguments: &[&str]| -> CommandOutput {
        let mut command = sandbox.command(arguments);
        command
            .current_dir(elsewhere.path())
            .output()
            .unwrap()
            .into()
    };
    assert_eq!(
        oam_elsewhere(&["kv", "put", "a", "kept", "--url", &url]).code,
        0
    );
    assert_eq!(oam_elsewhere(&["mesh", "connect", &url]).code, 0);
    let down = oam_elsewhere(&["mesh", "down"]);
    assert_eq!(down.code, 0, "{down:?}");
    let started_in = sandbox.work().canonicalize().unwrap();
    let started_in = started_in.to_str().unwrap();
    for expected in ["removed", "keeps running", started_in, &url] {
        assert!(down.stdout.contains(expected), "{expected}: {down:?}");
    }
    assert_eq!(
        down.stderr,
        format!("stop it with: cd {started_in} && oam mesh down\n")
    );
    assert!(!elsewhere.path().join(".oam-url").exists());
    let kept = sandbox.oam(&["kv", "get", "a"]);
    assert_eq!(kept.stdout, "kept", "{kept:?}");
    let again = oam_elsewhere(&["mesh", "down"]);
    assert!(again.stdout.contains("nothing to stop"), "{again:?}");
    assert!(again.stderr.contains(started_in), "{again:?}");

    assert_eq!(oam_elsewhere(&["mesh", "connect", &url]).code, 0);
    let down = oam_elsewhere(&["mesh", "down", "--force"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(down.stdout.starts_with("stopped the mesh"), "{down:?}");
    assert!(!elsewhere.path().join(".oam-url").exists());
    assert_eq!(sandbox.url(), None, "it named the stopped mesh");
}

#[test]
fn mesh_of_a_directory_above_is_stopped_after_a_connect() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.oam(&["mesh", "up", "--port", "0"]).code, 0);
    let url = sandbox.url().unwrap();
    let below = sandbox.work().join("below");
    std::fs::create_dir(&below).unwrap();
    for arguments in [&["mesh", "connect", &url][..], &["mesh", "down"]] {
        let mut command = sandbox.command(arguments);
        let output: CommandOutput = command.current_dir(&below).output().unwrap().into();
        assert_eq!(output.code, 0, "{output:?}");
    }
    assert!(!below.join(".oam-url").exists());
    assert_eq!(sandbox.url(), None);
    assert_eq!(sandbox.oam(&["mesh", "catalog", "--url", &url]).code, 3);
}

#[test]
fn mesh_in_a_directory_that_all_can_write_is_stopped() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new();
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(sandbox.work(), mode).unwrap();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 0, "{up:?}");
    assert!(up.stderr.contains("passed over"), "{up:?}");
    let down = sandbox.oam(&["mesh", "down"]);
    assert!(down.stdout.starts_with("stopped the mesh"), "{down:?}");
    assert_eq!(sandbox.url(), None);
}

/// The status of the answer to the WebSocket handshake of a page.
fn websocket_handshake(url: &str, origin: &str) -> String {
    let address = url.strip_prefix("ws://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: {origin}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status).into_owned()
}

/// The configuration of the only server of this kind in the home of the sandbox.
fn configuration(sandbox: &Sandbox, kind: &str) -> String {
    let servers = sandbox.home().join(".agentmesh").join(kind);
    let directories = std::fs::read_dir(servers).unwrap();
    let mut directories = directories.map(|entry| entry.unwrap().path());
    let directory = directories.find(|path| path.is_dir()).unwrap();
    std::fs::read_to_string(directory.join("nats-server.conf")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_is_on_only_if_asked() {
    const ORIGIN: &str = "http://localhost:3000";
    let background = &["mesh", "up", "--port", "0"][..];
    let foreground = &["mesh", "up", "--port", "0", "--foreground"];
    for (arguments, kind) in [(background, "mesh"), (foreground, "run")] {
        let sandbox = Sandbox::new();
        let mut up = Running::start(sandbox.command(arguments));
        assert!(up.line().await.unwrap().starts_with("the mesh is up at"));
        assert!(!configuration(&sandbox, kind).contains("websocket"));
        stop(&sandbox, &mut up, arguments == foreground).await;

        let with_origins = [
            arguments,
            &["--websocket", ORIGIN, "--websocket=https://b.example"],
        ]
        .concat();
        let mut up = Running::start(sandbox.command(&with_origins));
        up.line().await.unwrap();
        let line = up.line().await.unwrap();
        let said = line.strip_prefix("WebSocket is on at ").unwrap();
        let (url, origins) = said.split_once(" for web pages of ").unwrap();
        assert_eq!(origins, "http://localhost:3000, https://b.example");
        assert_eq!(websocket_handshake(url, ORIGIN), "HTTP/1.1 101");
        assert_eq!(
            websocket_handshake(url, "https://b.example"),
            "HTTP/1.1 101"
        );
        assert_eq!(
            websocket_handshake(url, "https://evil.example"),
            "HTTP/1.1 403"
        );
        assert_eq!(websocket_handshake(url, "null"), "HTTP/1.1 403");
        stop(&sandbox, &mut up, arguments == foreground).await;
    }
    let sandbox = Sandbox::new();
    for invalid in ["*", "localhost:3000", "http://localhost:3000/app"] {
        let command = ["mesh", "up", "--port", "0", "--websocket", invalid];
        let output = sandbox.oam(&command);
        output.assert_failure(&command, 2, &["invalid origin", invalid]);
    }
}

async fn stop(sandbox: &Sandbox, up: &mut Running, in_foreground: bool) {
    if in_foreground {
        up.signal("-INT");
    } else {
        assert_eq!(sandbox.oam(&["mesh", "down"]).code, 0);
    }
    assert_eq!(up.end().await.0.code(), Some(0));
}

#[test]
fn cluster_in_the_background_survives_a_killed_node_and_ends_with_down() {
    let sandbox = Sandbox::new();
    let up = sandbox.oam(&["mesh", "up", "--port", "0", "--cluster", "3"]);
    assert_eq!(up.code, 0, "{up:?}");
    let urls = sandbox.url().expect(".oam-url names the mesh");
    assert_eq!(urls.split(',').count(), 3, "{urls}");

    sandbox.until_code(&["kv", "put", "greeting", "\"hello\""], 0);
    let first = urls.split(',').next().unwrap();
    let home = sandbox.home().join(".agentmesh/mesh");
    let record = std::fs::read_dir(home).unwrap().find_map(|entry| {
        let text = std::fs::read_to_string(entry.unwrap().path().join("mesh.json")).ok()?;
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        (record["url"] == first).then_some(record)
    });
    let pid = record.unwrap()["pid"].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(killed.unwrap().success());

    let get = sandbox.until_code(&["kv", "get", "greeting"], 0);
    assert_eq!(get.stdout.trim(), "\"hello\"", "{get:?}");
    let init = sandbox.until_code(&["mesh", "init", "--replicas", "1", "--json"], 0);
    assert!(init.stdout.contains("\"previous\""), "{init:?}");
    assert!(init.stderr.contains("is lost with one server"), "{init:?}");
    let down = sandbox.oam(&["mesh", "down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert_eq!(sandbox.url(), None);
    for url in urls.split(',') {
        let address = url.strip_prefix("nats://").unwrap();
        assert!(TcpStream::connect(address).is_err(), "{url}");
    }
}

#[test]
fn cluster_of_two_nodes_is_a_usage_error() {
    let sandbox = Sandbox::new();
    let up = sandbox.oam(&["mesh", "up", "--cluster", "2"]);
    assert_eq!(up.code, 2, "{up:?}");
    assert!(up.stderr.contains("3 to 9"), "{up:?}");
}
