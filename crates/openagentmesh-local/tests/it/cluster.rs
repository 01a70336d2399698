//! Clusters of servers on this machine.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::CreateStreamErrorKind;
use openagentmesh_local::{DetachedServer, LocalCluster, LocalClusterBuilder, LocalError};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::process::{processes_of, servers_of};
use crate::support::{assert_nothing_left, eventually, free_ports, home, nats_server};

async fn builder(home: &TempDir) -> LocalClusterBuilder {
    LocalCluster::builder()
        .home_directory(home.path())
        .binary(nats_server().await)
}

async fn replicated(url: &str) -> jetstream::stream::Stream {
    let client = async_nats::connect(url).await.unwrap();
    let config = jetstream::stream::Config {
        name: "s".to_owned(),
        num_replicas: 3,
        ..Default::default()
    };
    let jetstream = jetstream::new(client);
    let created = async {
        // A question during an election stays unanswered.
        loop {
            match jetstream.get_or_create_stream(config.clone()).await {
                Err(error) if error.kind() == CreateStreamErrorKind::TimedOut => {}
                created => return created.unwrap(),
            }
        }
    };
    timeout(Duration::from_secs(60), created).await.unwrap()
}

#[tokio::test]
async fn cluster_holds_replicated_streams_and_survives_the_loss_of_a_node() {
    let home = home();
    let mut cluster = builder(&home).await.start().await.unwrap();
    assert_eq!(cluster.nodes().len(), 3);
    let urls: Vec<&str> = cluster.nodes().iter().map(|node| node.url()).collect();
    let stream = replicated(urls[0]).await;
    let replicas = &stream.cached_info().cluster.as_ref().unwrap().replicas;
    assert_eq!(replicas.len(), 2);

    let port = cluster.nodes()[1].port();
    cluster.kill_node(1).await.unwrap();
    assert_eq!(cluster.nodes()[1].pid(), None);
    assert_eq!(servers_of(home.path()).len(), 2);
    cluster.ready().await.unwrap();
    cluster.restart_node(1).await.unwrap();
    assert_eq!(cluster.nodes()[1].port(), port);
    cluster.ready().await.unwrap();
    let url = cluster.nodes()[1].url().to_owned();
    replicated(&url).await;
    assert!(matches!(
        cluster.kill_node(3).await,
        Err(LocalError::UnknownNode { index: 3, nodes: 3 })
    ));

    cluster.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn dropped_cluster_leaves_nothing() {
    let home = home();
    let cluster = builder(&home).await.start().await.unwrap();
    assert_eq!(servers_of(home.path()).len(), 3);
    drop(cluster);
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn detached_cluster_is_listed_as_one_mesh_and_stopped_as_one() {
    let home = home();
    let settings = DetachedServer::builder()
        .home_directory(home.path())
        .binary(nats_server().await);
    let server = settings.clone().port(0).cluster(3).start().await.unwrap();
    assert_eq!(server.pids().len(), 3);
    replicated(server.url().split(',').next().unwrap()).await;

    let listed = settings.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].url(), server.url());
    for url in server.url().split(',').chain([server.url()]) {
        let found = settings.find_by_url(url).await.unwrap().unwrap();
        assert_eq!(found.pids().len(), 3, "{url}");
    }

    let pid = listed[0].pid();
    crate::support::process::signal(pid, sysinfo::Signal::Kill);
    eventually("the node is gone", || servers_of(home.path()).len() == 2).await;
    let listed = settings.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].down_urls().len(), 1);
    assert_eq!(listed[0].url(), server.url());
    assert!(server.directory().is_dir(), "its data is kept");

    listed[0].stop().await.unwrap();
    assert_nothing_left(home.path());
    assert!(processes_of(home.path()).is_empty());
}

#[tokio::test]
async fn port_of_a_detached_cluster_is_taken() {
    let home = home();
    let settings = DetachedServer::builder()
        .home_directory(home.path())
        .binary(nats_server().await);
    let port = free_ports();
    let server = settings.clone().port(port + 1).start().await.unwrap();
    let error = settings.port(port).cluster(3).start().await.unwrap_err();
    assert!(
        matches!(error, LocalError::PortTakenByMesh { port: taken, .. } if taken == port + 1),
        "{error}"
    );
    server.stop().await.unwrap();
    assert_nothing_left(home.path());
}
