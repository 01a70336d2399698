//! Connecting to a mesh, and the local mesh.

use crate::support::{TestMesh, echo, eventually, within};
use openagentmesh::{AgentMesh, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn unreachable_mesh_is_connection_failed() {
    // Nothing listens on this port of the loopback network: refused at once.
    let error = within(AgentMesh::connect("nats://127.0.0.9:9"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
    assert!(
        error.message().contains("127.0.0.9:9") && error.message().contains("check the port"),
        "{error}"
    );
}

#[tokio::test]
async fn slow_handshake_at_a_listening_address_succeeds() {
    let test = TestMesh::start().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", proxy.local_addr().unwrap());
    let upstream = test.server.url().trim_start_matches("nats://").to_owned();
    let connecting = tokio::spawn(async move { AgentMesh::connect(url).await });

    // The second connection only probes whether the address listens. The first continues after it.
    let (mut client, _) = within(proxy.accept()).await.unwrap();
    let (probe, _) = within(proxy.accept()).await.unwrap();
    drop(probe);
    let mut server = TcpStream::connect(upstream).await.unwrap();
    let relay = tokio::spawn(async move {
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok();
    });
    let mesh = within(connecting).await.unwrap().unwrap();
    assert!(mesh.catalog().await.unwrap().is_empty());
    relay.abort();
}

#[tokio::test]
async fn peer_without_nats_protocol_is_connection_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        connection.read_to_end(&mut Vec::new()).await.ok();
    });
    let error = within(AgentMesh::connect(url)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
    server.abort();
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_never_shown() {
    let test = TestMesh::start().await;
    let url = test
        .server
        .url()
        .replace("nats://", "nats://nobody:secret@");
    let error = within(AgentMesh::connect(url)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionDenied);
    assert!(!error.message().contains("secret"), "{error}");
    let server = &test.server;
    let login = format!(
        "nats://{}:{}@",
        server.system_user(),
        server.system_password()
    );
    within(AgentMesh::connect(server.url().replace("nats://", &login)))
        .await
        .unwrap();

    let missing = AgentMesh::builder()
        .url(test.server.url())
        .credentials("/nonexistent.creds");
    let error = missing.connect().await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration);
    assert!(error.message().contains("/nonexistent.creds"), "{error}");
}

#[tokio::test]
async fn malformed_url_is_a_configuration_error() {
    for url in ["not a url at all", "nats://", "http://x:1"] {
        let error = AgentMesh::connect(url).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration, "{url}: {error:?}");
    }
}

#[tokio::test]
async fn local_mesh_ends_with_its_last_handle() {
    let mesh = AgentMesh::local().await.unwrap();
    mesh.register(echo()).await.unwrap();
    let other = mesh.clone();
    drop(mesh);
    assert_eq!(other.call::<String>("echo", "x").await.unwrap(), "Echo: x");
    let address = other.url().trim_start_matches("nats://").to_owned();
    drop(other);
    eventually(|| async { TcpStream::connect(&address).await.err() }).await;

    let mesh = AgentMesh::local().await.unwrap();
    let address = mesh.url().trim_start_matches("nats://").to_owned();
    within(mesh.shutdown()).await.unwrap();
    assert!(
        TcpStream::connect(&address).await.is_err(),
        "the server still runs after the shutdown"
    );
}
