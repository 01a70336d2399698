//! A mesh on an existing client.

use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentMesh, AgentSpec, ConnectionState, ErrorCode, NatsEvents, async_nats};

use crate::support::secured::SecuredServer;
use crate::support::{PlainServer, TestMesh, echo, eventually, subscribed, within};

#[tokio::test]
async fn mesh_on_an_existing_client_serves_calls_and_leaves_the_client_open() {
    let test = TestMesh::start().await;
    let client = test.raw().await;
    let mut own = subscribed(&client, "own.subject").await;
    let builder = AgentMesh::builder().nats_client(client.clone());
    let mesh = within(builder.connect()).await.unwrap();
    assert_eq!(mesh.url(), test.mesh.url());
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    mesh.register((echo(), count)).await.unwrap();
    mesh.kv().put("key", "value").await.unwrap();

    let peer = test.peer().await;
    for caller in [&peer, &mesh] {
        let reply = within(caller.call::<String>("echo", "x")).await.unwrap();
        assert_eq!(reply, "Echo: x");
        let chunks = within(caller.stream::<u32>("count", 3)).await.unwrap();
        let chunks: Vec<u32> = within(chunks.try_collect()).await.unwrap();
        assert_eq!(chunks, [0, 1, 2]);
    }

    let mut events = within(mesh.subscribe_subject::<u32>("news")).await.unwrap();
    within(mesh.shutdown()).await.unwrap();
    assert!(within(events.next()).await.is_none());
    assert!(mesh.call::<String>("echo", "x").await.is_err());
    assert!(peer.catalog().fresh().await.unwrap().is_empty());

    client
        .publish("own.subject", "still open".into())
        .await
        .unwrap();
    assert_eq!(within(own.next()).await.unwrap().payload, "still open");
    // The subscription of the program is the only one that is left.
    eventually(|| async {
        let gone = client.request("mesh.agent.echo", "\"x\"".into()).await;
        gone.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn existing_client_conflicts_with_options_of_a_connection() {
    let test = TestMesh::start().await;
    let builder = || AgentMesh::builder();
    for (option, builder) in [
        ("url", builder().url(test.mesh.url())),
        ("token", builder().token("secret")),
        ("inbox_prefix", builder().inbox_prefix("_INBOX.a")),
        ("connection_name", builder().connection_name("a")),
    ] {
        let client = test.raw().await;
        let error = within(builder.nats_client(client).connect())
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration);
        assert_eq!(error.details()["option"], option);
    }
}

#[tokio::test]
async fn loss_of_an_existing_client_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = PlainServer::start(Some(directory.path())).await;
    let client = eventually(|| async { async_nats::connect(server.url()).await.ok() }).await;
    let builder = AgentMesh::builder().nats_client(client);
    let mesh = within(builder.connect()).await.unwrap();
    mesh.register(echo()).await.unwrap();
    let mut states = mesh.status_changes();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    server.stop().await;
    assert_eq!(within(states.next()).await, Some(ConnectionState::Lost));
    server.start_again();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    eventually(|| async { mesh.call::<String>("echo", "x").await.ok() }).await;
}

#[tokio::test]
async fn shutdown_while_the_server_is_away_ends_replies_and_events() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = PlainServer::start(Some(directory.path())).await;
    let mesh = server.connect().await;
    let silent = AgentSpec::new("silent", "Never answers.").handler(std::future::pending::<u32>);
    mesh.register(silent).await.unwrap();
    let peer = server.connect().await;
    let mut events = within(peer.subscribe_subject::<u32>("news")).await.unwrap();
    let call = tokio::spawn(peer.call::<u32>("silent", ()));
    eventually(|| async { peer.catalog().await.ok() }).await;
    server.stop().await;
    eventually(|| async { (peer.status() == ConnectionState::Lost).then_some(()) }).await;
    // Writes of the catalog are not due: this process serves nothing.
    within(peer.shutdown()).await.unwrap();
    assert!(within(events.next()).await.is_none());
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
}

/// A client of the program whose events reach the mesh.
#[tokio::test]
async fn denials_reach_a_mesh_with_the_events_of_an_existing_client() {
    let server = SecuredServer::start(
        "authorization { users: [ { user: ann, password: pw, permissions: {\
         publish: { deny: \"secret.>\" }, subscribe: { deny: \"secret.>\" } } } ] }",
    )
    .await;
    let events = NatsEvents::new();
    let observer = events.clone();
    let options = async_nats::ConnectOptions::with_user_and_password("ann".into(), "pw".into());
    let client = options.event_callback(move |event| {
        observer.observe(&event);
        std::future::ready(())
    });
    let client = within(client.connect(server.url())).await.unwrap();
    for _ in 0..2 {
        let builder = AgentMesh::builder().nats_client_with_events(client.clone(), &events);
        let mesh = within(builder.connect()).await.unwrap();
        for _ in 0..2 {
            let error = within(mesh.publish("secret.a", 1)).await.unwrap_err();
            assert_eq!(error.code(), &ErrorCode::ConnectionDenied, "{error}");
            assert_eq!(error.details()["subject"], "secret.a");
        }
        let subscribed = within(mesh.subscribe_subject::<u32>("secret.b")).await;
        let error = subscribed.err().unwrap();
        assert_eq!(error.code(), &ErrorCode::ConnectionDenied, "{error}");
        within(mesh.publish("open", 1)).await.unwrap();
        within(mesh.shutdown()).await.unwrap();
    }
}
