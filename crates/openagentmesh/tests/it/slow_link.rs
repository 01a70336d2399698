//! Slow links: a transfer goes on as long as data flows, and small requests next to it are answered.

use std::time::Duration;

use openagentmesh::{AgentMesh, ErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::TestMesh;

const BYTES_PER_SECOND: usize = 16 * 1000;
/// The transfers of a test take about 10 s.
const LIMIT: Duration = Duration::from_secs(90);

/// A proxy that forwards [`BYTES_PER_SECOND`] in each direction of each connection.
struct SlowLink {
    url: String,
    accepting: JoinHandle<()>,
}

impl SlowLink {
    async fn start(test: &TestMesh) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let upstream = test.server.url().trim_start_matches("nats://").to_owned();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&upstream).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server));
                tokio::spawn(forward(from_server, to_client));
            }
        });
        Self { url, accepting }
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Forwards until either end closes.
async fn forward(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut part = vec![0; 800];
    while let Ok(length @ 1..) = from.read(&mut part).await {
        if to.write_all(&part[..length]).await.is_err() {
            return;
        }
        let nanoseconds = length * 1_000_000_000 / BYTES_PER_SECOND;
        tokio::time::sleep(Duration::from_nanos(nanoseconds as u64)).await;
    }
}

async fn within<T>(work: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work.into_future())
        .await
        .expect("timeout of a slow test")
}

#[tokio::test]
async fn transfer_over_a_slow_link_succeeds_and_small_requests_are_answered() {
    let test = TestMesh::start().await;
    let link = SlowLink::start(&test).await;
    let content: Vec<u8> = (0..150_000_u32).map(|n| (n / 100) as u8).collect();
    test.mesh
        .workspace()
        .put("down", content.clone())
        .await
        .unwrap();
    test.mesh.kv().put("key", "value").await.unwrap();

    let uploading = async {
        let mesh = within(AgentMesh::connect(&link.url)).await.unwrap();
        let small = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for _ in 0..2 {
                let entry = mesh.kv().get("key").await.unwrap().unwrap();
                assert_eq!(entry.text().unwrap(), "value");
            }
        };
        let upload = mesh.workspace().put("up", content.clone());
        let (info, ()) = within(async { futures::join!(upload.into_future(), small) }).await;
        assert_eq!(info.unwrap().size, 150_000);
    };
    let downloading = async {
        let mesh = within(AgentMesh::connect(&link.url)).await.unwrap();
        let small = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for _ in 0..2 {
                let entry = mesh.kv().get("key").await.unwrap().unwrap();
                assert_eq!(entry.text().unwrap(), "value");
            }
        };
        let download = mesh.workspace().get("down");
        let (got, ()) = within(async { futures::join!(download.into_future(), small) }).await;
        assert!(got.unwrap() == content);
    };
    futures::join!(uploading, downloading);
    let got = within(test.mesh.workspace().get("up")).await.unwrap();
    assert!(got == content);
}

/// The value takes longer than the timeout of an operation.
#[tokio::test]
async fn large_value_is_written_and_read_over_a_slow_link() {
    let test = TestMesh::start().await;
    let link = SlowLink::start(&test).await;
    let mesh = within(AgentMesh::connect(&link.url)).await.unwrap();
    let value = "x".repeat(180_000);
    test.mesh.kv().put("read", value.as_str()).await.unwrap();
    let kv = mesh.kv();
    let transfers = async { futures::join!(kv.put("written", value.as_str()), kv.get("read")) };
    let (written, read) = within(transfers).await;
    written.unwrap();
    assert!(read.unwrap().unwrap().text().unwrap() == value);
    let missing = within(mesh.workspace().get("missing")).await.unwrap_err();
    assert_eq!(missing.code(), &ErrorCode::NotFound);
}
