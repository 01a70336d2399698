//! Servers whose owner was killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use common::{PART, assert_nothing_left, builder, eventually, home, nats_server, play};
use openagentmesh_local::LocalServer;

/// Ends and reaps a helper process however the test ends.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Owns servers until it is killed; started by the tests below.
#[tokio::test]
#[ignore = "a part that the other tests play in a process of its own"]
async fn owner() {
    let Some(home) = std::env::var_os(PART) else {
        return;
    };
    let home = PathBuf::from(home);
    let settings = LocalServer::builder()
        .home_directory(&home)
        .binary(nats_server().await);
    let first = settings.clone().start().await.unwrap();
    let second = settings.start().await.unwrap();
    std::fs::write(
        home.join("ready"),
        format!("{}\n{}", first.pid(), second.pid()),
    )
    .unwrap();
    std::future::pending::<()>().await;
}

async fn kill_an_owner(home: &Path) {
    let mut owner = Helper(play("owner", home));
    eventually("the owner's servers run", || home.join("ready").exists()).await;
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
}

#[tokio::test]
async fn the_next_start_cleans_up_after_a_killed_owner() {
    let home = home();
    kill_an_owner(home.path()).await;
    assert_eq!(
        common::processes_of(home.path()).len(),
        2,
        "servers outlive a killed owner"
    );

    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(common::processes_of(home.path()), [server.pid()]);
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
    kill_an_owner(home.path()).await;
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let builder = builder(&home).await;
        starts.spawn(async move { builder.start().await.unwrap() });
    }
    let servers = starts.join_all().await;
    let mut pids: Vec<u32> = servers.iter().map(LocalServer::pid).collect();
    let mut running = common::processes_of(home.path());
    pids.sort_unstable();
    running.sort_unstable();
    assert_eq!(pids, running);
    for server in servers {
        server.stop().await.unwrap();
    }
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn the_servers_of_a_living_owner_are_spared() {
    let home = home();
    let owner = Helper(play("owner", home.path()));
    eventually("the owner's servers run", || {
        home.path().join("ready").exists()
    })
    .await;
    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(common::processes_of(home.path()).len(), 3);
    server.stop().await.unwrap();
    drop(owner);
    builder(&home)
        .await
        .start()
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    assert_nothing_left(home.path());
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
    builder(&home)
        .await
        .start()
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    assert_nothing_left(home.path());
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
