//! Servers that announce their shutdown are left before they close the connection.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{eventually, free_port, within};
use futures::StreamExt;
use openagentmesh::{AgentMesh, ConnectionState, Events};
use openagentmesh_local::NatsServerSearch;
use tokio::process::{Child, Command};

/// Two servers of a cluster. The processes end with the value.
struct Cluster {
    urls: [String; 2],
    servers: [Child; 2],
}

impl Cluster {
    async fn start() -> Self {
        let binary = NatsServerSearch::new().find_or_install().await.unwrap();
        let [first, second, first_route, second_route] = [(); 4].map(|()| free_port());
        let launch = |port: u16, own: u16, other: u16| {
            Command::new(binary.path())
                .args(["-a", "127.0.0.1", "-p", &port.to_string()])
                .args(["-cluster_name", "test"])
                .args(["-cluster", &format!("nats://127.0.0.1:{own}")])
                .args(["-routes", &format!("nats://127.0.0.1:{other}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        };
        Self {
            urls: [first, second].map(|port| format!("nats://127.0.0.1:{port}")),
            servers: [
                launch(first, first_route, second_route),
                launch(second, second_route, first_route),
            ],
        }
    }

    /// Tells the first server to announce its shutdown.
    fn shut_down_first(&self) {
        let pid = self.servers[0].id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", "USR2", &pid])
            .status();
        assert!(sent.unwrap().success());
    }
}

async fn connect(url: &str) -> AgentMesh {
    eventually(|| async { AgentMesh::connect(url).await.ok() }).await
}

/// Publishes `number` until it arrives.
async fn receives(publisher: &AgentMesh, events: &mut Events<u32>, number: u32) {
    within(async {
        loop {
            publisher.publish("news", number).await.unwrap();
            let event = tokio::time::timeout(Duration::from_millis(200), events.next());
            if let Ok(Some(Ok(event))) = event.await
                && event.data == number
            {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn server_that_announces_its_shutdown_is_left_for_another_one() {
    let mut cluster = Cluster::start().await;
    let [first, second] = cluster.urls.clone();
    let other = connect(&second).await;
    // Both servers know each other when an event of one arrives at the other.
    // A list of URLs is tried in any order. A client learns of the second server when it connects to the first.
    eventually(|| async {
        let raw = async_nats::connect(&first).await.ok()?;
        let info = raw.server_info();
        let is_known = |url: &String| second.ends_with(url);
        info.connect_urls.iter().any(is_known).then_some(())
    })
    .await;
    let mesh = connect(&first).await;
    let mut events = within(mesh.subscribe_subject::<u32>("news")).await.unwrap();
    receives(&other, &mut events, 1).await;
    let mut states = mesh.status_changes();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    cluster.shut_down_first();

    let mut seen = Vec::new();
    while seen.last() != Some(&ConnectionState::Connected) {
        seen.push(within(states.next()).await.unwrap());
    }
    assert_eq!(seen[0], ConnectionState::LameDuck, "{seen:?}");
    // The server closes its connections 10 s after the announcement, and ends then.
    assert!(cluster.servers[0].try_wait().unwrap().is_none());
    assert_eq!(mesh.connection_lost_for(), None);
    receives(&other, &mut events, 2).await;
}
