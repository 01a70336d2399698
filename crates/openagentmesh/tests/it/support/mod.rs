//! Helpers of the tests: each test has its own server, which ends with the test.

pub(crate) mod operator;
#[cfg(unix)]
pub(crate) mod peer;
pub(crate) mod permissions;
mod plain_server;
pub(crate) mod poison;
mod port;
mod proxy;
pub(crate) mod role;
pub(crate) mod secured;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use openagentmesh::{AgentMesh, AgentSpec};
use openagentmesh_local::LocalServer;

pub(crate) use plain_server::PlainServer;
pub(crate) use port::free_port;
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

    /// Another connection, which the mesh treats like another process.
    pub(crate) async fn peer(&self) -> AgentMesh {
        AgentMesh::connect(self.server.url()).await.unwrap()
    }

    /// A plain NATS client.
    pub(crate) async fn raw(&self) -> async_nats::Client {
        async_nats::connect(self.server.url()).await.unwrap()
    }

    /// Lists `agent`, which no process serves: as after the death of a host of the published Python SDK, which keeps no
    /// record.
    pub(crate) async fn list_without_a_host(&self, agent: openagentmesh::Agent) {
        let host = self.peer().await;
        host.register(agent).await.unwrap();
        let jetstream = async_nats::jetstream::new(self.raw().await);
        let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
        let listed = catalog.get("catalog").await.unwrap().unwrap();
        host.shutdown().await.unwrap();
        catalog.put("catalog", listed).await.unwrap();
    }
}

/// Subscribes, and waits until the server has registered the subscription.
pub(crate) async fn subscribed(raw: &async_nats::Client, subject: &str) -> async_nats::Subscriber {
    let subscriber = raw.subscribe(subject.to_owned()).await.unwrap();
    synchronize(raw).await;
    subscriber
}

/// Waits until the server has processed all earlier messages of the client.
pub(crate) async fn synchronize(raw: &async_nats::Client) {
    // The server answers this request with "no responders", after all earlier messages.
    let unserved = raw.request(raw.new_inbox(), "".into()).await;
    assert!(unserved.is_err());
}

pub(crate) fn echo() -> openagentmesh::Agent {
    AgentSpec::new("echo", "Echoes a message back.")
        .handler(|message: String| async move { format!("Echo: {message}") })
}

/// The number of its guards that are alive. A handler that holds a guard is counted until it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

/// Counted by [`Alive`] until it is dropped.
pub(crate) struct Guard(Alive);

impl Alive {
    pub(crate) fn guard(&self) -> Guard {
        self.0.fetch_add(1, Ordering::SeqCst);
        Guard(self.clone())
    }

    /// Waits until `count` guards are alive.
    pub(crate) async fn are(&self, count: usize) {
        eventually(|| async { (self.0.load(Ordering::SeqCst) == count).then_some(()) }).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A value that panics when it is dropped.
pub(crate) struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("on purpose, in drop");
    }
}

/// The time after which a test has failed. Far longer than needed: tests run in parallel on shared machines.
const DEADLINE: Duration = Duration::from_secs(60);

/// Fails the test when `work` takes longer than [`DEADLINE`].
pub(crate) async fn within<T>(work: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work.into_future())
        .await
        .unwrap_or_else(|_| panic!("timeout after {DEADLINE:?}"))
}

/// Polls `condition` every 10 ms until it returns a value.
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

/// Waits until `count` has been the same for 100 polls in a row.
pub(crate) async fn stands_still(count: &AtomicU32) {
    let (mut seen, mut times) = (count.load(Ordering::SeqCst), 0);
    eventually(|| {
        let now = count.load(Ordering::SeqCst);
        times = if now == seen { times + 1 } else { 0 };
        seen = now;
        std::future::ready((times == 100).then_some(()))
    })
    .await;
}
