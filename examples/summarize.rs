//! A host for production: `cargo run --example summarize`. It has limits, logs, an answer for readiness
//! probes, and a grace time at its end.

use std::time::Duration;

use openagentmesh::{AgentMesh, BoxError, ConnectionState, agent, agents};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The time that accepted requests have after SIGTERM. The service manager waits for longer.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// The time that a readiness probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Summarises a text.
#[agent(concurrency = 16, queue = 100, timeout = "30s", idempotent)]
async fn summarize(text: String) -> String {
    text.split_whitespace()
        .take(5)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Answers each HTTP request: 200 while the mesh is connected, and 503 otherwise.
async fn answer_probes(listener: TcpListener, mesh: AgentMesh) -> std::io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        // A probe that is slow, or has gone away, needs no reply.
        let _ = timeout(PROBE_TIMEOUT, answer_probe(connection, &mesh)).await;
    }
}

async fn answer_probe(mut connection: TcpStream, mesh: &AgentMesh) -> std::io::Result<()> {
    if connection.read(&mut [0; 1024]).await? == 0 {
        return Ok(());
    }
    let status = match mesh.status() {
        ConnectionState::Connected => "200 OK",
        _ => "503 Service Unavailable",
    };
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    connection.write_all(reply.as_bytes()).await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mesh = AgentMesh::builder()
        .connection_name("summarize")
        .shutdown_grace(SHUTDOWN_GRACE)
        .connect()
        .await?;
    if let Ok(address) = std::env::var("PROBE_ADDRESS") {
        let listener = TcpListener::bind(address).await?;
        tokio::spawn(answer_probes(listener, mesh.clone()));
    }
    println!("serving summarize on {}", mesh.url());
    mesh.serve(agents![summarize]).await?;
    Ok(())
}
