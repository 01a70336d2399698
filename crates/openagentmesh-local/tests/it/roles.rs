//! Roles of child processes, started through [`role`].

use openagentmesh_local::{DetachedServer, LocalCluster, LocalError, LocalServer};

use crate::support::{nats_server, role};

/// Owns two servers until the process is killed, without handling signals.
#[tokio::test]
#[ignore = "a role for child processes"]
async fn owner() {
    let Some(home) = role::home() else {
        return;
    };
    let settings = LocalServer::builder()
        .home_directory(&home)
        .binary(nats_server().await);
    let _first = settings.clone().start().await.unwrap();
    let _second = settings.start().await.unwrap();
    std::fs::write(home.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

/// Owns a cluster until the process is killed, without handling signals.
#[tokio::test]
#[ignore = "a role for child processes"]
async fn cluster_owner() {
    let Some(home) = role::home() else {
        return;
    };
    let settings = LocalCluster::builder()
        .home_directory(&home)
        .binary(nats_server().await);
    let _cluster = settings.start().await.unwrap();
    std::fs::write(home.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

/// Starts a detached server and exits.
#[tokio::test]
#[ignore = "a role for child processes"]
async fn starter() {
    let Some(home) = role::home() else {
        return;
    };
    let settings = DetachedServer::builder()
        .home_directory(home)
        .binary(nats_server().await);
    settings.port(0).start().await.unwrap();
}

/// Lists the detached servers of another container and tries to stop them.
#[tokio::test]
#[ignore = "a role for child processes"]
async fn lister() {
    let Some(home) = role::home() else {
        return;
    };
    let settings = DetachedServer::builder()
        .home_directory(&home)
        .binary(nats_server().await);
    let servers = settings.list().await.unwrap();
    for server in &servers {
        let failure = server.stop().await.unwrap_err();
        assert!(matches!(failure, LocalError::OutOfReach { .. }));
    }
    std::fs::write(home.join("listed"), servers.len().to_string()).unwrap();
}

/// Installs `nats-server` from the release whose URL is in the home directory.
#[cfg(unix)]
#[tokio::test]
#[ignore = "a role for child processes"]
async fn installer() {
    let Some(home) = role::home() else {
        return;
    };
    let url = std::fs::read_to_string(home.join("release")).unwrap();
    let server = crate::search::search(&home)
        .release_url(url)
        .find_or_install()
        .await
        .unwrap();
    assert_eq!(server.version().to_string(), "2.15.1");
}
