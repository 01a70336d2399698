//! Addresses of meshes: several servers, IPv6, names, TLS, peers that are not NATS servers. Each failure has a remedy.

use openagentmesh::{AgentMesh, Error, ErrorCode, MeshBuilder};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::secured::{Certificates, SecuredServer};
use crate::support::{TestMesh, within};

async fn failed(builder: MeshBuilder) -> Error {
    let error = within(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error:?}");
    error
}

fn at(url: impl Into<String>) -> MeshBuilder {
    AgentMesh::builder().url(url)
}

/// A URL at which nothing listens.
async fn unused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("nats://{}", listener.local_addr().unwrap())
}

/// Accepts connections and sends `greeting` on each. Returns the address.
async fn peer(greeting: &'static [u8]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = tokio::spawn(async move {
        let mut connections = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.write_all(greeting).await.unwrap();
            connections.push(connection);
        }
    });
    (address, accepting)
}

#[tokio::test]
async fn first_of_several_servers_that_answers_is_used() {
    let test = TestMesh::start().await;
    let unused = unused_url().await;
    for urls in [
        format!("{unused},{}", test.server.url()),
        format!("{} , {unused}", test.server.url()),
    ] {
        let mesh = within(AgentMesh::connect(urls)).await.unwrap();
        assert!(within(mesh.catalog()).await.unwrap().is_empty());
    }
    let error = failed(at(format!("{unused},{unused}"))).await;
    assert!(error.message().contains(&unused), "{error}");
}

#[tokio::test]
async fn localhost_finds_a_server_that_listens_on_ipv4_only() {
    let test = TestMesh::start().await;
    let url = test.server.url().replace("127.0.0.1", "localhost");
    let mesh = within(AgentMesh::connect(url)).await.unwrap();
    assert!(within(mesh.catalog()).await.unwrap().is_empty());
}

#[tokio::test]
async fn ipv6_address_in_brackets_is_dialed() {
    let test = TestMesh::start().await;
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        // A machine without IPv6.
        return;
    };
    let url = format!("nats://{}", listener.local_addr().unwrap());
    assert!(url.starts_with("nats://[::1]:"), "{url}");
    let upstream = test.server.url().trim_start_matches("nats://").to_owned();
    let relay = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(upstream).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
    });
    let mesh = within(AgentMesh::connect(url)).await.unwrap();
    assert!(within(mesh.catalog()).await.unwrap().is_empty());
    relay.abort();
}

#[tokio::test]
async fn mesh_of_an_explicit_url_is_not_started_by_a_command() {
    let local = failed(at(unused_url().await)).await;
    assert!(local.message().contains("check the port"), "{local}");
    assert!(!local.message().contains("oam mesh up"), "{local}");
    // An address for documentation: nothing is there.
    let remote = failed(at("nats://192.0.2.1:4222")).await;
    assert!(!remote.message().contains("oam mesh up"), "{remote}");
    assert!(remote.message().contains("check the address"), "{remote}");
}

#[tokio::test]
async fn unknown_host_name_is_named_as_the_cause() {
    let error = failed(at("nats://no-such-host.invalid:4222")).await;
    assert!(error.message().contains("cannot be resolved"), "{error}");
    assert!(error.message().contains("no-such-host.invalid"), "{error}");
    assert!(!error.message().contains("oam mesh up"), "{error}");
}

#[tokio::test]
async fn websocket_url_is_refused_and_never_spoken_in_plain_text() {
    let test = TestMesh::start().await;
    for scheme in ["ws", "wss", "WSS", "http", "quic"] {
        let url = test
            .server
            .url()
            .replace("nats://", &format!("{scheme}://"));
        let error = within(AgentMesh::connect(url)).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration, "{error:?}");
        assert!(error.message().contains("use "), "{error}");
    }
}

#[tokio::test]
async fn tls_on_a_port_without_tls_is_refused_with_the_cause() {
    let test = TestMesh::start().await;
    let url = test.server.url().replace("nats://", "tls://");
    let error = failed(at(url)).await;
    assert!(error.message().contains("does not offer TLS"), "{error}");
    let certificates = Certificates::generate();
    let error = failed(at(test.server.url()).ca_file(certificates.path("ca.pem"))).await;
    assert!(error.message().contains("does not offer TLS"), "{error}");
}

#[tokio::test]
async fn plain_url_of_a_tls_port_is_never_spoken_in_plain_text() {
    let certificates = Certificates::generate();
    let server = SecuredServer::start(&certificates.configuration(false)).await;
    for scheme in ["nats", "tls"] {
        let url = format!("{scheme}://{}", server.address);
        let error = failed(at(&url)).await;
        assert!(error.message().contains("ca_file"), "{error}");
        let trusting = at(&url).ca_file(certificates.path("ca.pem"));
        within(trusting.connect()).await.unwrap();
    }
}

#[tokio::test]
async fn peer_of_another_protocol_is_shown_with_its_greeting() {
    let (address, peer) = peer(b"HTTP/1.1 400 Bad Request\r\n\x1b[31m\r\n").await;
    let error = failed(at(format!("nats://{address}"))).await;
    let message = error.message();
    assert!(
        message.contains("\"HTTP/1.1 400 Bad Request\""),
        "{message}"
    );
    assert!(message.contains("client port"), "{message}");
    peer.abort();
}

#[tokio::test]
async fn silent_peer_is_not_taken_for_a_stopped_server() {
    let (address, peer) = peer(b"").await;
    let error = failed(at(format!("nats://{address}"))).await;
    assert!(error.message().contains("does not greet"), "{error}");
    assert!(!error.message().contains("oam mesh up"), "{error}");
    peer.abort();
}
