//! Servers whose owner was killed, and whose watchdog does not help.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{
    Helper, assert_nothing_left, builder, eventually_nothing_left, home, play, start_owner,
};
use openagentmesh_local::LocalServer;
use sysinfo::Signal;

/// Owns servers until it is killed; started by the tests below.
#[tokio::test]
#[ignore = "a part that the other tests play in a process of its own"]
async fn owner() {
    common::own_two_servers().await;
}

/// Leaves two servers that nobody looks after.
async fn abandon_servers(home: &Path) {
    let mut owner = start_owner(home).await;
    let watchdogs = common::watchdogs_of(home);
    assert_eq!(watchdogs.len(), 2);
    for watchdog in watchdogs {
        common::signal(watchdog, Signal::Kill);
    }
    common::eventually("the watchdogs are gone", || {
        common::watchdogs_of(home).is_empty()
    })
    .await;
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    assert_eq!(common::servers_of(home).len(), 2);
}

#[tokio::test]
async fn the_next_start_cleans_up_after_a_killed_owner() {
    let home = home();
    abandon_servers(home.path()).await;

    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(common::servers_of(home.path()), [server.pid()]);
    assert_eq!(
        common::contents(&home.path().join(".agentmesh/run")).len(),
        1
    );
    server.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_starts_clean_up_together_and_spare_each_other() {
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
    assert_eq!(pids, common::servers_of(home.path()));
    for server in servers {
        server.stop().await.unwrap();
    }
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn the_servers_of_a_living_owner_are_spared() {
    let home = home();
    let owner = start_owner(home.path()).await;
    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(common::servers_of(home.path()).len(), 3);
    server.stop().await.unwrap();
    assert_eq!(common::servers_of(home.path()).len(), 2);
    drop(owner);
    // This start and the watchdogs clean up at the same time.
    let server = builder(&home).await.start().await.unwrap();
    server.stop().await.unwrap();
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn an_owner_may_be_killed_at_any_moment_of_a_start() {
    let home = home();
    for milliseconds in (0..80).step_by(4) {
        let mut owner = Helper(play("owner", home.path()));
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
        owner.0.kill().unwrap();
        owner.0.wait().unwrap();
    }
    // Watchdogs that were in time may still be at it, or have been overtaken by a later start.
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
async fn a_reused_process_id_is_not_killed() {
    let home = home();
    // What a dead server left; another program has its process id by now, and a third one looks
    // at its configuration.
    let abandoned = home
        .path()
        .join(".agentmesh/run/0123456789abcdef0123456789abcdef");
    std::fs::create_dir_all(&abandoned).unwrap();
    let config = abandoned.join("nats-server.conf");
    std::fs::write(&config, "").unwrap();
    let mut other = Helper(Command::new("sleep").arg("600").spawn().unwrap());
    let ports = format!("nats-server_{}.ports", other.0.id());
    std::fs::write(abandoned.join(ports), "{}").unwrap();
    let mut reader = Helper(Command::new("tail").arg("-f").arg(&config).spawn().unwrap());

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
async fn files_of_others_are_left_alone() {
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
        common::contents(&run),
        ["0123456789abcdef0123456789abcdef", "notes"]
    );
}
