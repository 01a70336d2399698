//! Servers that outlive the process that started them.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{
    PART, assert_nothing_left, eventually, free_ports, home, nats_server, play, play_within,
};
use openagentmesh_local::{DetachedServer, DetachedServerBuilder, LocalError};
use tempfile::TempDir;

/// A home whose detached servers are stopped however the test ends.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(home())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn settings(&self) -> DetachedServerBuilder {
        settings(self.path()).await.port(0)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in common::processes_of(&self.path().join(".agentmesh")) {
            let pid = sysinfo::Pid::from_u32(pid);
            let mut system = sysinfo::System::new().unwrap();
            system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
            if let Some(process) = system.process(pid) {
                process.kill();
            }
        }
    }
}

async fn settings(home: &Path) -> DetachedServerBuilder {
    DetachedServer::builder()
        .home_directory(home)
        .binary(nats_server().await)
}

/// Starts a server and ends; played by a test below.
#[tokio::test]
#[ignore = "a part that another test plays in a process of its own"]
async fn starter() {
    let Some(home) = std::env::var_os(PART) else {
        return;
    };
    settings(&PathBuf::from(home))
        .await
        .port(0)
        .start()
        .await
        .unwrap();
}

#[tokio::test]
async fn outlives_its_starter_until_it_is_stopped() {
    let home = Home::new();
    assert!(play("starter", home.path()).wait().unwrap().success());

    let settings = home.settings().await;
    let servers = settings.list().await.unwrap();
    let [server] = servers.as_slice() else {
        panic!("{servers:?}")
    };
    async_nats::connect(server.url())
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
    let system = async_nats::ConnectOptions::with_user_and_password(
        server.system_user().to_owned(),
        server.system_password().to_owned(),
    );
    system.connect(server.url()).await.unwrap();
    assert_eq!(server.started_in(), std::env::current_dir().unwrap());
    assert!(server.started_at() <= std::time::SystemTime::now());
    assert!(server.version().starts_with("2."));
    assert!(server.log_path().is_file());

    server.stop().await.unwrap();
    assert_nothing_left(home.path());
    server.stop().await.unwrap();
    assert_eq!(settings.list().await.unwrap(), []);
}

#[tokio::test]
async fn is_found_by_its_url() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let other = settings.clone().start().await.unwrap();
    for url in [
        server.url().to_owned(),
        server.websocket_url().to_owned(),
        format!("nats://localhost:{}", server.port()),
    ] {
        assert_eq!(
            settings.find_by_url(&url).await.unwrap().as_ref(),
            Some(&server),
            "{url}"
        );
    }
    assert_eq!(
        settings.find_by_url("nats://localhost:1").await.unwrap(),
        None
    );
    assert_eq!(
        settings.list().await.unwrap(),
        [server.clone(), other.clone()]
    );
    server.stop().await.unwrap();
    assert_eq!(settings.list().await.unwrap(), std::slice::from_ref(&other));
    other.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_starts_on_one_port_one_wins() {
    let home = Home::new();
    let port = free_ports();
    let mut starts = tokio::task::JoinSet::new();
    for number in 0..6 {
        let place = format!("/place/{number}");
        let settings = home.settings().await.port(port).started_in(&place);
        starts.spawn(async move { settings.start().await });
    }
    let (started, refused): (Vec<_>, Vec<_>) =
        starts.join_all().await.into_iter().partition(Result::is_ok);
    let [Ok(winner)] = started.as_slice() else {
        panic!("{started:?}")
    };
    assert_eq!(winner.port(), port);
    for failure in refused.into_iter().map(Result::unwrap_err) {
        let LocalError::PortTakenByMesh {
            port: taken,
            started_in,
            ..
        } = &failure
        else {
            panic!("{failure}")
        };
        assert_eq!((*taken, started_in.as_path()), (port, winner.started_in()));
    }
    // The port after it is taken, too.
    let failure = home
        .settings()
        .await
        .port(port + 1)
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(failure, LocalError::PortTakenByMesh { .. }),
        "{failure}"
    );
    winner.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn a_port_of_another_program_is_named_and_nothing_is_left() {
    let home = Home::new();
    let port = free_ports();
    let _other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let failure = home.settings().await.port(port).start().await.unwrap_err();
    assert!(
        matches!(failure, LocalError::PortTaken { port: p } if p == port),
        "{failure}"
    );
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn what_a_crashed_server_left_is_removed() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let mut system = sysinfo::System::new().unwrap();
    let pid = sysinfo::Pid::from_u32(server.pid());
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    assert!(system.process(pid).unwrap().kill());
    eventually("the server is gone", || {
        common::processes_of(home.path()).is_empty()
    })
    .await;

    assert!(server.directory().exists());
    assert_eq!(settings.list().await.unwrap(), []);
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn a_server_without_a_record_is_ended() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    // As if its starter had been killed just before writing it.
    std::fs::remove_file(server.directory().join("mesh.json")).unwrap();
    assert_eq!(settings.list().await.unwrap(), []);
    assert_nothing_left(home.path());
}

#[cfg(unix)]
#[tokio::test]
async fn a_reused_process_id_is_not_killed() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let record = std::fs::read_to_string(server.directory().join("mesh.json")).unwrap();
    server.stop().await.unwrap();

    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let abandoned = server.directory();
    std::fs::create_dir(abandoned).unwrap();
    let pid = |id: u32| format!("\"pid\": {id}");
    let record = record.replace(&pid(server.pid()), &pid(other.id()));
    std::fs::write(abandoned.join("mesh.json"), record).unwrap();
    let listed = settings.list().await;
    server.stop().await.unwrap();
    let spared = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(listed.unwrap(), []);
    assert!(spared);
    assert_nothing_left(home.path());
}

/// Replaces a part of what is recorded about a mesh.
fn rewrite_record(server: &DetachedServer, change: impl FnOnce(&mut serde_json::Value)) {
    let path = server.directory().join("mesh.json");
    let mut record = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    std::fs::write(&path, record.to_string()).unwrap();
}

#[tokio::test]
async fn a_server_that_is_heard_but_not_seen_is_kept() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    // In another container that process id is nobody's, or another program's, as here.
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
async fn a_server_of_another_container_is_neither_listed_nor_removed() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let record = std::fs::read(server.directory().join("mesh.json")).unwrap();
    server.stop().await.unwrap();

    // Now there is neither a process nor a port, as if both were in other namespaces.
    std::fs::create_dir(server.directory()).unwrap();
    std::fs::write(server.directory().join("mesh.json"), record).unwrap();
    rewrite_record(&server, |record| {
        record["pid_namespace"] = "pid:[1234]".into();
    });
    assert_eq!(settings.list().await.unwrap(), []);
    assert!(server.directory().join("mesh.json").is_file());

    // One of this namespace would be heard and seen if it ran.
    rewrite_record(&server, |record| {
        record.as_object_mut().unwrap().remove("pid_namespace");
    });
    assert_eq!(settings.list().await.unwrap(), []);
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn a_server_that_cannot_be_ended_from_here_keeps_its_directory() {
    let home = Home::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let record = std::fs::read(server.directory().join("mesh.json")).unwrap();
    server.stop().await.unwrap();

    // What answers for the mesh is no process that bears its name here.
    let name = server.directory().file_name().unwrap().to_str().unwrap();
    let greeting = format!("INFO {{\"server_name\":\"oam-{name}\"}}\r\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeter = std::thread::spawn(move || {
        use std::io::Write as _;
        // Once for the list and once for the stop.
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
    // Once nobody answers any more, it can go.
    greeter.join().unwrap();
    listed[0].stop().await.unwrap();
    assert_nothing_left(home.path());
}

/// Lists the servers and tries to stop them; played by the test below.
#[tokio::test]
#[ignore = "a part that another test plays in a process of its own"]
async fn lister() {
    let Some(home) = std::env::var_os(PART) else {
        return;
    };
    let home = PathBuf::from(home);
    let servers = settings(&home).await.list().await.unwrap();
    for server in &servers {
        let failure = server.stop().await.unwrap_err();
        assert!(matches!(failure, LocalError::OutOfReach { .. }));
    }
    std::fs::write(home.join("listed"), servers.len().to_string()).unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_container_that_shares_the_home_does_no_harm() {
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
            // Not every system lets its users do this. The tests above imitate it.
            eprintln!("skipped: {container:?} is not possible here");
            continue;
        }
        let home = Home::new();
        let server = home.settings().await.start().await.unwrap();
        let mut lister = play_within(container, "lister", home.path());
        assert!(lister.wait().unwrap().success());
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

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    let home = Home::new();
    for milliseconds in [0, 2, 10, 20, 30] {
        let start = home.settings().await.start();
        let limit = std::time::Duration::from_millis(milliseconds);
        if let Ok(server) = tokio::time::timeout(limit, start).await {
            server.unwrap().stop().await.unwrap();
        }
    }
    eventually("given-up servers are gone", || {
        common::processes_of(home.path()).is_empty()
            && common::contents(&home.path().join(".agentmesh/mesh")).is_empty()
    })
    .await;
}
