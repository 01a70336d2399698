//! `oam mesh up` and `oam mesh down`.

use std::net::TcpListener;

use crate::support::{Running, Sandbox};

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
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("error[connection_failed]"), "{gone:?}");
    assert!(gone.stderr.contains("oam mesh up"), "{gone:?}");
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
        assert_eq!(sandbox.oam(&["mesh", "catalog", "--url", &url]).code, 1);
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
