//! Servers with accounts of the caller's own.

use std::time::Instant;

use openagentmesh_local::LocalCluster;

use crate::support::detached_home::DetachedHome;
use crate::support::{CONDITION_TIMEOUT, home, nats_server};

/// Accounts with one user whose password is "pw".
fn accounts_of(user: &str) -> String {
    format!(
        "accounts {{ APP {{ jetstream: enabled, users: [ {{ user: \"{user}\", password: \"pw\" }} ] }}, SYS {{ }} }}\n\
         system_account: SYS\n"
    )
}

async fn is_admitted(url: &str, user: &str) -> bool {
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), "pw".into());
    options.connect(url).await.is_ok()
}

/// Creates a stream on all nodes. If the first leader dies within milliseconds of its election, before the others have received
/// anything from it, nats-server 2.15 may find no other leader.
async fn create_stream(url: &str, user: &str) {
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), "pw".into());
    let client = options.connect(url).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let deadline = Instant::now() + CONDITION_TIMEOUT;
    loop {
        let config = async_nats::jetstream::stream::Config {
            name: "shared".to_owned(),
            num_replicas: 3,
            ..Default::default()
        };
        match jetstream.create_stream(config).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test]
async fn server_admits_the_users_of_its_accounts_and_of_those_that_replace_them() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings
        .clone()
        .accounts(accounts_of("ann"))
        .start()
        .await
        .unwrap();
    let url = server.url();
    assert!(is_admitted(url, "ann").await);
    assert!(
        async_nats::connect(url).await.is_err(),
        "no anonymous client"
    );

    let meshes = settings.list_meshes().await.unwrap();
    let [mesh] = meshes.as_slice() else {
        panic!("{meshes:?}")
    };
    assert_eq!(mesh.accounts().await.unwrap(), Some(accounts_of("ann")));
    mesh.set_accounts(accounts_of("bob")).await.unwrap();
    let deadline = Instant::now() + CONDITION_TIMEOUT;
    while !is_admitted(url, "bob").await {
        assert!(Instant::now() < deadline, "the new user is admitted");
    }
    assert!(!is_admitted(url, "ann").await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn each_node_of_a_cluster_admits_the_users_of_its_accounts_and_of_those_that_replace_them() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let cluster = settings
        .clone()
        .cluster(3)
        .accounts(accounts_of("ann"))
        .start()
        .await
        .unwrap();
    let urls: Vec<&str> = cluster.url().split(',').collect();
    assert_eq!(urls.len(), 3);
    for url in &urls {
        assert!(is_admitted(url, "ann").await, "{url}");
        assert!(
            async_nats::connect(*url).await.is_err(),
            "no anonymous client at {url}"
        );
    }
    let meshes = settings.list_meshes().await.unwrap();
    meshes[0].set_accounts(accounts_of("bob")).await.unwrap();
    let deadline = Instant::now() + CONDITION_TIMEOUT;
    for url in &urls {
        while !is_admitted(url, "bob").await {
            assert!(Instant::now() < deadline, "the new user is admitted");
        }
        assert!(!is_admitted(url, "ann").await, "{url}");
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn cluster_with_accounts_is_ready_when_its_nodes_follow_a_leader() {
    let home = home();
    let mut cluster = LocalCluster::builder()
        .home_directory(home.path())
        .binary(nats_server().await)
        .accounts(accounts_of("ann"))
        .start()
        .await
        .unwrap();
    create_stream(cluster.nodes()[0].url(), "ann").await;
    cluster.kill_node(0).await.unwrap();
    cluster.ready().await.unwrap();
    cluster.restart_node(0).await.unwrap();
    cluster.ready().await.unwrap();
    let url = cluster.nodes()[0].url();
    assert!(is_admitted(url, "ann").await);
    assert!(async_nats::connect(url).await.is_err());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn server_without_accounts_admits_everyone() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    async_nats::connect(server.url()).await.unwrap();
    let meshes = settings.list_meshes().await.unwrap();
    assert_eq!(meshes[0].accounts().await.unwrap(), None);
    server.stop().await.unwrap();
}
