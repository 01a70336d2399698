//! A mesh of a test's own: a real server, and peers in both languages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::Message;
use futures::StreamExt;
use interop::{Peer, PeerError, Raised, Sdk};
use openagentmesh::AgentMesh;
use openagentmesh_local::LocalServer;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A server and one connection of the Rust SDK to it. The server ends with the value.
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

    /// Another process of the Rust SDK, as far as the mesh can tell.
    pub(crate) async fn rust_peer(&self) -> AgentMesh {
        AgentMesh::connect(self.server.url()).await.unwrap()
    }

    /// A process of the Python SDK that is on the mesh.
    pub(crate) async fn python_peer(&self, sdk: Sdk) -> Peer {
        let mut peer = python_process(sdk).await;
        let url = json!({"url": self.server.url()});
        peer.ask("connect", url).await.unwrap();
        peer
    }

    /// The same, serving agents of the gallery in `python/agents.py`.
    pub(crate) async fn python_host(&self, sdk: Sdk, names: &[&str]) -> Peer {
        let mut peer = self.python_peer(sdk).await;
        peer.ask("host", json!({"names": names})).await.unwrap();
        peer
    }

    /// A connection that knows nothing of the mesh.
    pub(crate) async fn nats(&self) -> async_nats::Client {
        async_nats::connect(self.server.url()).await.unwrap()
    }

    /// The catalog as it is written, entry by entry.
    pub(crate) async fn catalog_text(&self) -> Vec<Box<RawValue>> {
        let jetstream = async_nats::jetstream::new(self.nats().await);
        let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
        let text = store.get("catalog").await.unwrap().unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The names in the catalog as it is now, in the order of the alphabet.
    pub(crate) async fn catalog_names(&self) -> Vec<String> {
        let catalog = self.mesh.catalog().fresh().await.unwrap();
        let mut names: Vec<_> = catalog.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names
    }
}

/// A process of the Python SDK that is on no mesh yet.
pub(crate) async fn python_process(sdk: Sdk) -> Peer {
    match Peer::start(sdk, &environments()).await {
        Ok(peer) => peer,
        Err(error) => panic!("{error}"),
    }
}

/// Where the environments of the SDKs are kept between runs.
pub(crate) fn environments() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("interop")
}

/// The Python peer's catalog follows the mesh's with a delay: waits until it lists `names`.
pub(crate) async fn python_lists(peer: &mut Peer, names: &[&str]) -> Vec<Value> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let catalog = peer.ask("catalog", json!({})).await.unwrap();
        let catalog = catalog.as_array().unwrap();
        let listed = |name: &&str| catalog.iter().any(|entry| entry["name"] == **name);
        if names.iter().all(listed) {
            return catalog.clone();
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "after 20 s {} still lists only {catalog:?}",
            peer.sdk()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a peer took of a stream or a subscription.
#[derive(Debug, Deserialize)]
pub(crate) struct Taken {
    pub(crate) items: Vec<Value>,
    /// The error that ended it.
    pub(crate) raised: Option<Raised>,
    /// Whether it ended without one.
    #[serde(default)]
    pub(crate) ended: bool,
}

/// Waits until the peer has taken `count` more of what it opened as `key`; without a count, until
/// that has ended.
pub(crate) async fn take(peer: &mut Peer, key: &str, count: Option<usize>) -> Taken {
    let taken = peer.ask("take", json!({"key": key, "count": count}));
    serde_json::from_value(taken.await.unwrap()).unwrap()
}

/// All messages on a mesh, for a test that says what was not sent.
pub(crate) struct Observer {
    client: async_nats::Client,
    messages: async_nats::Subscriber,
}

impl Observer {
    pub(crate) async fn start(test: &TestMesh) -> Self {
        let client = test.nats().await;
        let messages = client.subscribe(">").await.unwrap();
        let mut observer = Self { client, messages };
        // The server knows of it once its own mark comes back.
        observer.rest().await;
        observer
    }

    /// The next message for which `wanted` holds.
    pub(crate) async fn next(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        within(async {
            loop {
                let message = self.messages.next().await.unwrap();
                if wanted(&message) {
                    return message;
                }
            }
        })
        .await
    }

    /// Everything that the server has taken until now and that was not returned before.
    pub(crate) async fn rest(&mut self) -> Vec<Message> {
        const MARK: &str = "interop.mark";
        self.client.publish(MARK, "".into()).await.unwrap();
        let mut rest = Vec::new();
        loop {
            let message = self.next(|_| true).await;
            if message.subject.as_str() == MARK {
                return rest;
            }
            rest.push(message);
        }
    }
}

/// Waits until the server has taken what `client` was given before.
pub(crate) async fn synchronize(client: &async_nats::Client) {
    // That nobody is there is said behind it.
    let answer = within(client.request("interop.nobody", "".into())).await;
    assert!(answer.is_err());
}

/// A header's value.
pub(crate) fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

/// What a command raised; anything else fails the test.
pub(crate) fn raised(result: Result<Value, PeerError>) -> Raised {
    match result {
        Err(PeerError::Raised { raised, .. }) => raised,
        Err(other) => panic!("{other}"),
        Ok(value) => panic!("nothing was raised, it returned {value}"),
    }
}

/// Fails the test when `what` takes longer than anything here should.
pub(crate) async fn within<T>(what: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what.into_future())
        .await
        .expect("it took longer than 30 s")
}
