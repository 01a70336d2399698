//! A mesh of a test's own: a real server, gone when the test ends.

mod plain_server;
mod proxy;
pub(crate) mod role;
pub(crate) mod secured;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openagentmesh::{AgentMesh, AgentSpec};
use openagentmesh_local::LocalServer;

pub(crate) use plain_server::PlainServer;
pub(crate) use proxy::Proxy;

/// A server and one connection to it. The server ends with the value.
pub(crate) struct TestMesh {
    pub(crate) mesh: AgentMesh,
    pub(crate) server: LocalServer,
}

impl TestMesh {
    pub(crate) async fn start() -> Self {
        Self::with_max_payload(8 * 1024 * 1024).await
    }

    pub(crate) async fn with_max_payload(bytes: u32) -> Self {
        let server = LocalServer::builder()
            .max_payload(bytes)
            .start()
            .await
            .unwrap();
        let mesh = AgentMesh::connect(server.url()).await.unwrap();
        Self { mesh, server }
    }

    /// Another process, as far as the mesh can tell.
    pub(crate) async fn peer(&self) -> AgentMesh {
        AgentMesh::connect(self.server.url()).await.unwrap()
    }

    /// A client that knows nothing of the mesh.
    pub(crate) async fn raw(&self) -> async_nats::Client {
        async_nats::connect(self.server.url()).await.unwrap()
    }
}

/// Subscribes, and waits until the server knows: everything that is published from now on is taken.
pub(crate) async fn subscribed(raw: &async_nats::Client, subject: &str) -> async_nats::Subscriber {
    let subscriber = raw.subscribe(subject.to_owned()).await.unwrap();
    synchronize(raw).await;
    subscriber
}

/// Waits until the server has done all that the client asked it for.
pub(crate) async fn synchronize(raw: &async_nats::Client) {
    // Nobody serves this: the server says so, behind everything before.
    let nobody = raw.request(raw.new_inbox(), "".into()).await;
    assert!(nobody.is_err());
}

pub(crate) fn echo() -> openagentmesh::Agent {
    AgentSpec::new("echo", "Echoes a message back.")
        .handler(|message: String| async move { format!("Echo: {message}") })
}

/// Counts how many of its guards live: a handler that holds one tells when it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

/// One that lives.
pub(crate) struct Guard(Alive);

impl Alive {
    pub(crate) fn guard(&self) -> Guard {
        self.0.fetch_add(1, Ordering::SeqCst);
        Guard(self.clone())
    }

    /// Waits until so many live.
    pub(crate) async fn are(&self, count: usize) {
        eventually(|| async { (self.0.load(Ordering::SeqCst) == count).then_some(()) }).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Fails the test when `what` takes longer than anything here should.
pub(crate) async fn within<T>(what: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what.into_future())
        .await
        .expect("it took longer than 20 s")
}

/// Looks again and again until `condition` gives a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    mut condition: impl FnMut() -> F,
) -> T {
    within(async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}
