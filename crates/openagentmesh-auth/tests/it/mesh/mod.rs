//! The SDK with the credentials of roles, on a mesh that a monitor keeps.

mod denials;
mod hostile;
mod revocation;
mod serving;

use std::time::Duration;

use futures::stream;
use openagentmesh::{Agent, AgentMesh, AgentSpec, CancellationToken};
use openagentmesh_auth::{Grants, GrantsBuilder, Role};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::{AuthServer, buckets, within};

/// A server, and a monitor with the credentials of one.
struct Mesh {
    server: AuthServer,
    directory: TempDir,
    stop: CancellationToken,
    monitoring: JoinHandle<openagentmesh::Result<()>>,
}

impl Mesh {
    async fn start() -> Self {
        let server = AuthServer::start().await;
        buckets::create(&server.operator().await).await;
        let mut mesh = Self {
            server,
            directory: TempDir::new().unwrap(),
            stop: CancellationToken::new(),
            monitoring: tokio::spawn(async { Ok(()) }),
        };
        let monitor = mesh.user("keeper", Grants::builder(Role::Monitor)).await;
        let stop = mesh.stop.clone();
        mesh.monitoring = tokio::spawn(async move {
            monitor.monitor().run_until(stop).await?;
            monitor.shutdown().await
        });
        mesh
    }

    /// A new user with the SDK.
    async fn user(&self, name: &str, grants: GrantsBuilder) -> AgentMesh {
        let credentials = self.server.user(name, &grants.build().unwrap());
        let path = self.directory.path().join(format!("{name}.creds"));
        credentials.write(&path).unwrap();
        let builder = AgentMesh::builder().url(format!("nats://{}", self.server.address));
        within(builder.credentials(path).connect()).await.unwrap()
    }

    /// A worker of the channel `channel`.
    async fn worker(&self, name: &str, channel: &str) -> AgentMesh {
        let agents = format!("{channel}.>").parse().unwrap();
        self.user(name, Grants::builder(Role::Worker).agent(agents))
            .await
    }

    /// An invoker of all agents.
    async fn invoker(&self, name: &str) -> AgentMesh {
        let all = ">".parse().unwrap();
        self.user(name, Grants::builder(Role::Invoker).agent(all))
            .await
    }

    async fn end(self) {
        self.stop.cancel();
        within(self.monitoring).await.unwrap().unwrap();
    }
}

/// A responder `{channel}.price`, a streamer `{channel}.count` and a publisher `{channel}.news`.
fn agents(channel: &str) -> [Agent; 3] {
    let name = |agent: &str| format!("{channel}.{agent}");
    [
        AgentSpec::new(name("price"), "Prices an order.")
            .handler(|order: String| async move { order.len() }),
        AgentSpec::new(name("count"), "Counts.").handler(|to: u32| stream::iter(0..to)),
        AgentSpec::new(name("news"), "Publishes numbers.").handler(|| {
            let ticks = tokio::time::interval(Duration::from_millis(10));
            // As fast as it can, it would be the load of the whole mesh.
            stream::unfold((ticks, 0_u32), |(mut ticks, number)| async move {
                ticks.tick().await;
                Some((number, (ticks, number + 1)))
            })
        }),
    ]
}

/// Polls `condition` until it returns a value.
async fn eventually<T, F: Future<Output = Option<T>>>(mut condition: impl FnMut() -> F) -> T {
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
