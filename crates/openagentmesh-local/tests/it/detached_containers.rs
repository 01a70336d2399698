//! Detached servers of other containers that share the home directory.

use openagentmesh_local::{DetachedServer, LocalError};

use crate::support::assert_nothing_left;
use crate::support::detached_home::DetachedHome;
#[cfg(target_os = "linux")]
use crate::support::role;

/// Changes the record of a server.
fn rewrite_record(server: &DetachedServer, change: impl FnOnce(&mut serde_json::Value)) {
    let path = server.directory().join("mesh.json");
    let mut record = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    std::fs::write(&path, record.to_string()).unwrap();
}

#[tokio::test]
async fn reachable_server_with_invisible_process_is_listed() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    // In another container the recorded process id is free or belongs to another program, as here.
    rewrite_record(&server, |record| record["pid"] = std::process::id().into());
    let listed = settings.list().await.unwrap();
    let [listed] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    assert_eq!(listed.url(), server.url());
    assert!(server.directory().is_dir());
    listed.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn unreachable_server_of_another_container_is_neither_listed_nor_removed() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let record = std::fs::read(server.directory().join("mesh.json")).unwrap();
    server.stop().await.unwrap();

    // Neither process nor port exist, as if both were in other namespaces.
    std::fs::create_dir(server.directory()).unwrap();
    std::fs::write(server.directory().join("mesh.json"), record).unwrap();
    rewrite_record(&server, |record| {
        record["pid_namespace"] = "pid:[1234]".into();
    });
    assert_eq!(settings.list().await.unwrap(), []);
    assert!(server.directory().join("mesh.json").is_file());

    // A server of this namespace that runs would be visible and reachable.
    rewrite_record(&server, |record| {
        record.as_object_mut().unwrap().remove("pid_namespace");
    });
    assert_eq!(settings.list().await.unwrap(), []);
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn server_that_cannot_be_ended_here_keeps_its_directory() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let record = std::fs::read(server.directory().join("mesh.json")).unwrap();
    server.stop().await.unwrap();

    // The greeting comes from a process without the server's command line.
    let name = server.directory().file_name().unwrap().to_str().unwrap();
    let greeting = format!("INFO {{\"server_name\":\"oam-{name}\"}}\r\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeter = std::thread::spawn(move || {
        use std::io::Write as _;
        // One greeting for the list and one for the stop.
        for stream in listener.incoming().take(2) {
            stream.unwrap().write_all(greeting.as_bytes()).unwrap();
        }
    });
    std::fs::create_dir(server.directory()).unwrap();
    std::fs::write(server.directory().join("mesh.json"), record).unwrap();
    rewrite_record(&server, |record| record["port"] = port.into());

    let listed = settings.list().await.unwrap();
    let failure = listed[0].stop().await.unwrap_err();
    assert!(
        matches!(&failure, LocalError::OutOfReach { url } if url == server.url()),
        "{failure}"
    );
    assert!(server.directory().is_dir());
    // Without a greeting the directory is removed.
    greeter.join().unwrap();
    listed[0].stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn container_with_shared_home_does_not_end_the_server() {
    let container = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ];
    let mut isolated = container.to_vec();
    isolated.push("--net");
    for (container, seen) in [(&container[..], "1"), (&isolated, "0")] {
        let allowed = std::process::Command::new(container[0])
            .args(&container[1..])
            .arg("true")
            .status();
        if !allowed.is_ok_and(|status| status.success()) {
            // Some systems do not permit this. The tests above imitate it.
            eprintln!("skipped: {container:?} is not possible here");
            continue;
        }
        let home = DetachedHome::new();
        let server = home.settings().await.start().await.unwrap();
        let mut lister = role::start_within(container, "lister", home.path());
        assert!(lister.exited().await.success());
        assert_eq!(
            std::fs::read_to_string(home.path().join("listed")).unwrap(),
            seen
        );
        assert_eq!(
            home.settings().await.list().await.unwrap(),
            std::slice::from_ref(&server)
        );
        server.stop().await.unwrap();
        assert_nothing_left(home.path());
    }
}
