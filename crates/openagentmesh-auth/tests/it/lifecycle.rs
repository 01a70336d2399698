//! Expiry, revocation and rotation on a running server.

use std::time::Duration;

use openagentmesh_auth::{Grants, Role};

use crate::support::{AuthServer, Client};

fn observer() -> Grants {
    Grants::builder(Role::Observer).build().unwrap()
}

#[tokio::test]
async fn revoked_user_is_disconnected_by_a_reload_and_refused() {
    let server = AuthServer::start().await;
    let credentials = server.user("ada", &observer());
    let mut ada = Client::connect(&server.address, &credentials)
        .await
        .unwrap();
    let mut bob = server.client("bob", &observer()).await;
    server.store.revoke(&"ada".parse().unwrap()).unwrap();
    server.reload();
    let said = ada.closed().await;
    assert!(
        said.contains("Revoked") || said.contains("Authorization"),
        "{said}"
    );
    let refused = Client::connect(&server.address, &credentials).await;
    assert!(refused.err().unwrap().contains("Authorization"));
    bob.say("").await.expect("another user stays connected");
}

#[tokio::test]
async fn rotated_user_connects_with_the_new_credentials_only() {
    let server = AuthServer::start().await;
    let old = server.user("ada", &observer());
    let new = server.store.rotate(&"ada".parse().unwrap(), None).unwrap();
    Client::connect(&server.address, &new)
        .await
        .expect("no reload is needed");
    let mut before = Client::connect(&server.address, &old)
        .await
        .expect("until the reload");
    server.reload();
    before.closed().await;
    assert!(Client::connect(&server.address, &old).await.is_err());
    Client::connect(&server.address, &new).await.unwrap();
}

#[tokio::test]
async fn expired_user_is_disconnected_and_refused() {
    let server = AuthServer::start().await;
    let name = "ada".parse().unwrap();
    let lifetime = Some(Duration::from_secs(6));
    let credentials = server.store.add(&name, &observer(), lifetime).unwrap();
    let mut ada = Client::connect(&server.address, &credentials)
        .await
        .unwrap();
    let said = ada.closed().await;
    assert!(said.contains("Expired"), "{said}");
    // Until the second is over, the server admits the user and ends the connection at once.
    let started = std::time::Instant::now();
    loop {
        match Client::connect(&server.address, &credentials).await {
            Err(refused) if refused.contains("Authorization Violation") => break,
            _ => assert!(
                started.elapsed() < Duration::from_secs(20),
                "an expired user is refused"
            ),
        }
    }
}

#[tokio::test]
async fn credentials_of_another_mesh_and_anonymous_clients_are_refused() {
    let (server, other) = (AuthServer::start().await, AuthServer::start().await);
    let foreign = other.user("ada", &observer());
    assert!(Client::connect(&server.address, &foreign).await.is_err());
    assert!(async_nats::connect(&server.address).await.is_err());
}

#[tokio::test]
async fn user_with_many_agents_connects() {
    let server = AuthServer::start().await;
    let mut grants = Grants::builder(Role::Worker);
    for number in 0..60 {
        grants = grants.agent(format!("shop.department-{number}.price").parse().unwrap());
    }
    let mut ada = server.client("ada", &grants.build().unwrap()).await;
    ada.subscribe("mesh.agent.shop.department-59.price")
        .await
        .unwrap();
}

#[tokio::test]
async fn monitor_learns_of_disconnects() {
    let server = AuthServer::start().await;
    let monitor = Grants::builder(Role::Monitor).build().unwrap();
    let mut monitor = server.client("monitor", &monitor).await;
    monitor.subscribe("mesh.sys.disconnect").await.unwrap();
    let ada = server.client("ada", &observer()).await;
    drop(ada);
    let advisory = monitor.message(Duration::from_secs(20)).await.unwrap();
    assert_eq!(advisory.subject, "mesh.sys.disconnect");
    assert!(
        advisory.text.contains("client_disconnect"),
        "{}",
        advisory.text
    );
}

#[tokio::test]
async fn server_tells_the_user_who_it_is_and_the_monitor_who_is_connected() {
    let server = AuthServer::start().await;
    let ada = server.nats("ada", &observer()).await;
    let info = ada.request("$SYS.REQ.USER.INFO", "".into()).await.unwrap();
    let info = String::from_utf8(info.payload.to_vec()).unwrap();
    assert!(info.contains("\"permissions\""), "{info}");
    let monitor = Grants::builder(Role::Monitor).build().unwrap();
    let monitor = server.nats("monitor", &monitor).await;
    let connections = monitor
        .request("$SYS.REQ.ACCOUNT.PING.CONNZ", "".into())
        .await
        .unwrap();
    let connections = String::from_utf8(connections.payload.to_vec()).unwrap();
    assert!(connections.contains("\"connections\""), "{connections}");
}
