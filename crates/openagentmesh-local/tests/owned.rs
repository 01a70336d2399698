//! Servers that live as long as their owner.

use openagentmesh_local::LocalServer;

#[tokio::test]
async fn starts_and_stops() {
    let server = LocalServer::start().await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    client.flush().await.unwrap();
    let directory = server.directory().to_owned();
    server.stop().await.unwrap();
    assert!(!directory.exists());
}
