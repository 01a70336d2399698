//! Servers whose owner and watchdog were killed.

use std::path::Path;
use std::process::Command;

use openagentmesh_local::LocalServer;
use sysinfo::Signal;

use crate::support::process::{KilledOnDrop, servers_of, signal, watchdogs_of};
use crate::support::{
    assert_nothing_left, builder, contents, eventually, eventually_nothing_left, home, role,
};
use crate::watchdog::start_owner;

/// Leaves two servers without owner and watchdog.
async fn abandon_servers(home: &Path) {
    let mut owner = start_owner(home).await;
    let watchdogs = watchdogs_of(home);
    assert_eq!(watchdogs.len(), 2);
    for watchdog in watchdogs {
        signal(watchdog, Signal::Kill);
    }
    eventually("the watchdogs are gone", || watchdogs_of(home).is_empty()).await;
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    assert_eq!(servers_of(home).len(), 2);
}

#[tokio::test]
async fn servers_of_a_killed_owner_are_ended_by_the_next_start() {
    let home = home();
    abandon_servers(home.path()).await;

    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(servers_of(home.path()), [server.pid()]);
    assert_eq!(contents(&home.path().join(".agentmesh/run")).len(), 1);
    server.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_starts_end_orphans_and_spare_each_other() {
    let home = home();
    abandon_servers(home.path()).await;
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let builder = builder(&home).await;
        starts.spawn(async move { builder.start().await.unwrap() });
    }
    let servers = starts.join_all().await;
    let mut pids: Vec<u32> = servers.iter().map(LocalServer::pid).collect();
    pids.sort_unstable();
    assert_eq!(pids, servers_of(home.path()));
    for server in servers {
        server.stop().await.unwrap();
    }
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn servers_of_a_living_owner_are_spared() {
    let home = home();
    let owner = start_owner(home.path()).await;
    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(servers_of(home.path()).len(), 3);
    server.stop().await.unwrap();
    assert_eq!(servers_of(home.path()).len(), 2);
    drop(owner);
    // This start and the watchdogs clean up concurrently.
    let server = builder(&home).await.start().await.unwrap();
    server.stop().await.unwrap();
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn owner_killed_at_any_moment_of_a_start_leaves_nothing() {
    let home = home();
    for milliseconds in (0..80).step_by(4) {
        let mut owner = role::start("owner", home.path());
        // The delay only varies the moment of the kill; no assertion depends on it.
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
        owner.0.kill().unwrap();
        owner.0.wait().unwrap();
    }
    // Watchdogs may still be running, or a later start may have cleaned up before them.
    builder(&home)
        .await
        .start()
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn process_with_the_id_of_a_dead_server_is_not_killed() {
    let home = home();
    // The directory of a dead server. One program has that server's process id, and another one has
    // its configuration file open.
    let abandoned = home
        .path()
        .join(".agentmesh/run/0123456789abcdef0123456789abcdef");
    std::fs::create_dir_all(&abandoned).unwrap();
    let config = abandoned.join("nats-server.conf");
    std::fs::write(&config, "").unwrap();
    let mut other = KilledOnDrop(Command::new("sleep").arg("600").spawn().unwrap());
    let ports = format!("nats-server_{}.ports", other.0.id());
    std::fs::write(abandoned.join(ports), "{}").unwrap();
    let mut reader = KilledOnDrop(Command::new("tail").arg("-f").arg(&config).spawn().unwrap());

    builder(&home)
        .await
        .start()
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();

    assert!(!abandoned.exists());
    assert!(other.0.try_wait().unwrap().is_none());
    assert!(reader.0.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn unrelated_files_are_left_alone() {
    let home = home();
    let run = home.path().join(".agentmesh/run");
    std::fs::create_dir_all(run.join("notes")).unwrap();
    std::fs::write(run.join("0123456789abcdef0123456789abcdef"), "a file").unwrap();
    builder(&home)
        .await
        .start()
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    assert_eq!(
        contents(&run),
        ["0123456789abcdef0123456789abcdef", "notes"]
    );
}
