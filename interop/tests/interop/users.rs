//! A mesh with users: a Python host with the role for it, beside Rust users with narrower ones.

use std::path::PathBuf;

use interop::{Peer, Sdk};
use openagentmesh::{AgentMesh, AgentSpec, CancellationToken, ErrorCode};
use openagentmesh_auth::{Grants, GrantsBuilder, Role, Store};
use openagentmesh_local::LocalServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::common::{python_lists, python_process, within};

interop::with_each_sdk!(
    python_host_serves_with_credentials,
    python_host_calls_what_it_may,
    python_host_may_not_serve_other_agents,
);

/// A server with users and a monitor.
struct UserMesh {
    server: LocalServer,
    store: Store,
    directory: TempDir,
    stop: CancellationToken,
    monitoring: JoinHandle<openagentmesh::Result<()>>,
}

impl UserMesh {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::init(&directory.path().join("auth")).unwrap();
        let accounts = store.accounts_config().unwrap();
        let server = LocalServer::builder().accounts(accounts).start();
        let mut mesh = Self {
            server: server.await.unwrap(),
            store,
            directory,
            stop: CancellationToken::new(),
            monitoring: tokio::spawn(async { Ok(()) }),
        };
        let operator = mesh.rust("root", Grants::builder(Role::Operator)).await;
        within(operator.create_buckets()).await.unwrap();
        within(operator.shutdown()).await.unwrap();
        let monitor = mesh.rust("keeper", Grants::builder(Role::Monitor)).await;
        let stop = mesh.stop.clone();
        mesh.monitoring = tokio::spawn(async move {
            monitor.monitor().run_until(stop).await?;
            monitor.shutdown().await
        });
        mesh
    }

    /// The credentials file of a new user.
    fn user(&self, name: &str, grants: GrantsBuilder) -> PathBuf {
        let grants = grants.build().unwrap();
        let credentials = self.store.add(&name.parse().unwrap(), &grants, None);
        let path = self.directory.path().join(format!("{name}.creds"));
        credentials.unwrap().write(&path).unwrap();
        path
    }

    async fn rust(&self, name: &str, grants: GrantsBuilder) -> AgentMesh {
        let builder = AgentMesh::builder().url(self.server.url());
        let connecting = builder.credentials(self.user(name, grants)).connect();
        within(connecting).await.unwrap()
    }

    /// A worker in Rust that serves `shop.price`.
    async fn shop(&self) -> AgentMesh {
        let worker = Grants::builder(Role::Worker).agent("shop.>".parse().unwrap());
        let mesh = self.rust("shop", worker).await;
        let price = AgentSpec::new("shop.price", "Prices an order.");
        let price = price.handler(|order: String| async move { order.len() });
        within(mesh.register([price])).await.unwrap();
        mesh
    }

    async fn invoker(&self) -> AgentMesh {
        let invoker = Grants::builder(Role::Invoker).agent(">".parse().unwrap());
        self.rust("ada", invoker).await
    }

    /// A process of the Python SDK that serves `echo` and `numbers`, and may call agents of `shop`.
    async fn python(&self, sdk: Sdk) -> Peer {
        let grants = Grants::builder(Role::WorkerPython)
            .agent("echo".parse().unwrap())
            .agent("numbers".parse().unwrap())
            .may_call("shop.>".parse().unwrap());
        let creds = self.user("python", grants);
        let mut peer = python_process(sdk).await;
        let login = json!({"url": self.server.url(), "creds": creds});
        peer.ask("connect", login).await.unwrap();
        let names = ["echo", "numbers"];
        peer.ask("host", json!({"names": names})).await.unwrap();
        peer
    }

    async fn end(self, meshes: impl IntoIterator<Item = AgentMesh>) {
        for mesh in meshes {
            within(mesh.shutdown()).await.unwrap();
        }
        self.stop.cancel();
        within(self.monitoring).await.unwrap().unwrap();
    }
}

async fn names(mesh: &AgentMesh) -> Vec<String> {
    let catalog = within(mesh.catalog().fresh()).await.unwrap();
    let mut names: Vec<_> = catalog.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names
}

/// Waits until the catalog has exactly these names.
async fn eventually_lists(mesh: &AgentMesh, expected: &[&str]) {
    within(async {
        while names(mesh).await != expected {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn python_host_serves_with_credentials(sdk: Sdk) {
    let test = UserMesh::start().await;
    let ada = test.invoker().await;
    let python = test.python(sdk).await;
    // The monitor lists the agent of Rust, and leaves those that Python has listed.
    let shop = test.shop().await;
    eventually_lists(&ada, &["echo", "numbers", "shop.price"]).await;

    let reply: String = within(ada.call("echo", "tea")).await.unwrap();
    assert_eq!(reply, "Echo: tea");
    let mut numbers = within(ada.stream::<u32>("numbers", 3)).await.unwrap();
    for expected in 0..3 {
        let number = within(numbers.next()).await.unwrap();
        assert_eq!(number.unwrap(), expected);
    }
    assert!(within(numbers.next()).await.is_none());

    python.end().await.unwrap();
    eventually_lists(&ada, &["shop.price"]).await;
    test.end([ada, shop]).await;
}

async fn python_host_calls_what_it_may(sdk: Sdk) {
    let test = UserMesh::start().await;
    let shop = test.shop().await;
    let mut python = test.python(sdk).await;
    python_lists(&mut python, &["shop.price"]).await;
    let reply = python.ask("call", json!({"name": "shop.price", "payload": "tea"}));
    assert_eq!(reply.await.unwrap(), json!(3));
    python.end().await.unwrap();
    test.end([shop]).await;
}

async fn python_host_may_not_serve_other_agents(sdk: Sdk) {
    let test = UserMesh::start().await;
    let shop = test.shop().await;
    let ada = test.invoker().await;
    let mut python = test.python(sdk).await;
    // Whatever the SDK makes of the denial of its contract.
    drop(python.ask("host", json!({"names": ["translate"]})).await);
    let error = within(ada.call::<Value>("translate", "hello"))
        .await
        .unwrap_err();
    assert!(
        matches!(error.code(), ErrorCode::NotFound | ErrorCode::NotAvailable),
        "{error}"
    );
    drop(python);
    test.end([ada, shop]).await;
}
