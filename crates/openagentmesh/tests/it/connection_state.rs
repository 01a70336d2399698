//! The state of a connection, and a local mesh with options.

use std::time::Duration;

use futures::StreamExt;
use openagentmesh::{AgentMesh, ConnectionState, ErrorCode};

use crate::support::{PlainServer, TestMesh, within};

#[tokio::test]
async fn loss_return_and_close_of_the_connection_are_reported() {
    let mut server = PlainServer::start(None).await;
    let mesh = server.connect().await;
    assert_eq!(mesh.status(), ConnectionState::Connected);
    let mut states = mesh.status_changes();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );

    server.stop().await;
    assert_eq!(within(states.next()).await, Some(ConnectionState::Lost));
    assert_eq!(mesh.status(), ConnectionState::Lost);

    server.start_again();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    assert_eq!(mesh.status(), ConnectionState::Connected);

    within(mesh.shutdown()).await.unwrap();
    assert_eq!(within(states.next()).await, Some(ConnectionState::Closed));
    assert_eq!(within(states.next()).await, None);
    assert_eq!(mesh.status(), ConnectionState::Closed);
    let mut late = mesh.status_changes();
    assert_eq!(within(late.next()).await, Some(ConnectionState::Closed));
    assert_eq!(within(late.next()).await, None);
}

#[tokio::test]
async fn local_mesh_has_the_options_of_its_builder() {
    let builder = AgentMesh::builder()
        .request_timeout(Duration::from_millis(50))
        .connection_name("with-options");
    let mesh = within(builder.local()).await.unwrap();
    let silent = openagentmesh::AgentSpec::new("silent", "Never answers.")
        .handler(std::future::pending::<u32>);
    mesh.register(silent).await.unwrap();
    let error = within(mesh.call::<u32>("silent", ())).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(error.message().contains("50ms"), "{error}");
}

#[tokio::test]
async fn local_mesh_at_a_url_is_refused() {
    let test = TestMesh::start().await;
    let builder = AgentMesh::builder().url(test.mesh.url());
    let error = within(builder.local()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration);
    assert_eq!(error.details()["option"], "url");
}
