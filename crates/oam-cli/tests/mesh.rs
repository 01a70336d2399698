//! `oam mesh up` and `down`: what they start, refuse and clean up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Command;

use common::Sandbox;

#[test]
fn a_mesh_goes_up_once_and_comes_down_for_good() {
    let sandbox = Sandbox::new();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 0, "{up:?}");
    let url = sandbox.url().expect(".oam-url names the mesh");
    assert!(up.stdout.contains(&url), "{up:?}");

    let second = sandbox.oam(&["mesh", "up"]);
    assert_eq!(second.code, 1);
    assert!(
        second.stderr.contains("a mesh is running already"),
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
    assert_eq!(again.code, 0, "stopping what is stopped is fine: {again:?}");

    let gone = sandbox.oam(&["mesh", "catalog", "--url", &url]);
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("error[connection_failed]"), "{gone:?}");
    assert!(
        gone.stderr.contains("is it running? try: oam mesh up"),
        "{gone:?}"
    );
}

#[test]
fn a_mesh_is_found_from_directories_below() {
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
fn a_taken_port_is_refused_with_what_to_do() {
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
        assert_eq!(sandbox.url(), None, "nothing is left behind");
    }
}

#[test]
fn a_mesh_in_the_foreground_ends_with_its_signal() {
    for signal in ["-INT", "-TERM"] {
        let sandbox = Sandbox::new();
        let mut up = sandbox
            .command(&["mesh", "up", "--foreground", "--port", "0"])
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(up.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = sandbox.url().expect(".oam-url names the mesh");
        assert!(line.contains(&url), "{line}");
        assert_eq!(sandbox.oam(&["mesh", "catalog"]).code, 0);

        let down = sandbox.oam(&["mesh", "down"]);
        assert_eq!(down.code, 1, "it is not down's to stop: {down:?}");
        assert!(sandbox.url().is_some());

        let pid = up.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(up.wait().unwrap().success());
        assert_eq!(sandbox.url(), None);
        assert_eq!(sandbox.oam(&["mesh", "catalog", "--url", &url]).code, 1);
    }
}

#[test]
fn a_url_file_of_another_mesh_is_neither_overwritten_nor_removed() {
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
    assert!(file.is_file(), "it is not removed either");
    std::fs::write(&file, "nonsense\n").unwrap();
    let up = sandbox.oam(&["mesh", "up", "--port", "0"]);
    assert_eq!(up.code, 2);
    assert!(up.stderr.contains("is neither a URL nor TOML"), "{up:?}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_url_file_that_a_dead_mesh_left_is_cleaned_up() {
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
