//! A private mesh for a test: a real server, and peers in both languages.

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

/// A server and one connection of the Rust SDK. Dropping the value stops the server.
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

    /// A second instance of the Rust SDK.
    pub(crate) async fn rust_peer(&self) -> AgentMesh {
        AgentMesh::connect(self.server.url()).await.unwrap()
    }

    /// A connected process of the Python SDK.
    pub(crate) async fn python_peer(&self, sdk: Sdk) -> Peer {
        let mut peer = python_process(sdk).await;
        let url = json!({"url": self.server.url()});
        peer.ask("connect", url).await.unwrap();
        peer
    }

    /// A connected process of the Python SDK that serves agents of `python/agents.py`.
    pub(crate) async fn python_host(&self, sdk: Sdk, names: &[&str]) -> Peer {
        let mut peer = self.python_peer(sdk).await;
        peer.ask("host", json!({"names": names})).await.unwrap();
        peer
    }

    /// A plain NATS connection.
    pub(crate) async fn nats(&self) -> async_nats::Client {
        async_nats::connect(self.server.url()).await.unwrap()
    }

    /// The text of each catalog entry.
    pub(crate) async fn catalog_text(&self) -> Vec<Box<RawValue>> {
        let jetstream = async_nats::jetstream::new(self.nats().await);
        let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
        let text = store.get("catalog").await.unwrap().unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The names in the current catalog, sorted.
    pub(crate) async fn catalog_names(&self) -> Vec<String> {
        let catalog = self.mesh.catalog().fresh().await.unwrap();
        let mut names: Vec<_> = catalog.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names
    }
}

/// A process of the Python SDK that is not connected yet.
pub(crate) async fn python_process(sdk: Sdk) -> Peer {
    match Peer::start(sdk, &environments()).await {
        Ok(peer) => peer,
        Err(error) => panic!("{error}"),
    }
}

/// The directory that keeps the environments of the SDKs between runs.
pub(crate) fn environments() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("interop")
}

/// Waits until the Python peer's catalog, which follows with a delay, lists `names`.
pub(crate) async fn python_lists(peer: &mut Peer, names: &[&str]) -> Vec<Value> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
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

/// Items that a peer received from a stream or a subscription.
#[derive(Debug, Deserialize)]
pub(crate) struct Taken {
    pub(crate) items: Vec<Value>,
    /// The error that ended the stream.
    pub(crate) raised: Option<Raised>,
    /// Whether the stream ended without an error.
    #[serde(default)]
    pub(crate) ended: bool,
}

/// Waits until the peer has received `count` more items of the stream `key`; without a count, until the
/// stream has ended.
pub(crate) async fn take(peer: &mut Peer, key: &str, count: Option<usize>) -> Taken {
    let taken = peer.ask("take", json!({"key": key, "count": count}));
    serde_json::from_value(taken.await.unwrap()).unwrap()
}

/// Records messages of a mesh, for tests of messages that must not be sent.
pub(crate) struct Tap {
    client: async_nats::Client,
    messages: async_nats::Subscriber,
    /// The subject of the message that marks the end of the earlier ones.
    mark: &'static str,
}

impl Tap {
    /// Records all messages.
    pub(crate) async fn start(test: &TestMesh) -> Self {
        Self::of(test, ">", "interop.mark").await
    }

    /// Records the messages to agents only. A tap of replies would count as a subscriber of them: a host then
    /// takes a reply as received, although a Python caller subscribes to it later.
    pub(crate) async fn requests(test: &TestMesh) -> Self {
        Self::of(test, "mesh.agent.>", "mesh.agent.interop.mark").await
    }

    async fn of(test: &TestMesh, subject: &'static str, mark: &'static str) -> Self {
        let client = test.nats().await;
        let messages = client.subscribe(subject).await.unwrap();
        let mut tap = Self {
            client,
            messages,
            mark,
        };
        // The subscription is active when the mark arrives.
        tap.rest().await;
        tap
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

    /// All messages that the server has processed so far and that were not returned yet.
    pub(crate) async fn rest(&mut self) -> Vec<Message> {
        self.client.publish(self.mark, "".into()).await.unwrap();
        let mut rest = Vec::new();
        loop {
            let message = self.next(|_| true).await;
            if message.subject.as_str() == self.mark {
                return rest;
            }
            rest.push(message);
        }
    }
}

/// Waits until the server has processed the earlier messages of `client`.
pub(crate) async fn synchronize(client: &async_nats::Client) {
    // The no-responders reply follows the earlier messages.
    let answer = within(client.request("interop.unserved", "".into())).await;
    assert!(answer.is_err());
}

/// A header's value.
pub(crate) fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

/// The exception of a command. Fails the test if the command raised none.
pub(crate) fn raised(result: Result<Value, PeerError>) -> Raised {
    match result {
        Err(PeerError::Raised { raised, .. }) => raised,
        Err(other) => panic!("{other}"),
        Ok(value) => panic!("no exception; the result is {value}"),
    }
}

/// Fails the test if `operation` takes longer than 30 s.
pub(crate) async fn within<T>(operation: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), operation.into_future())
        .await
        .expect("not completed within 30 s")
}
