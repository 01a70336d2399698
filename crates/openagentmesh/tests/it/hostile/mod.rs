//! A host process and the messages of hostile peers: each costs at most its own request.

mod costly;
mod flood;
mod in_flight;
mod kinds;
mod process;
mod socket;

use std::time::Duration;

use crate::support::role::is_role;
use futures::stream;
use openagentmesh::{AgentMesh, AgentSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Printed by a host once its agents are served.
const READY: &str = "ready for requests";

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restricted {
    #[schemars(length(min = 1, max = 100))]
    text: String,
    #[schemars(range(max = 10))]
    words: Option<u32>,
}

/// The host that the tests send to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "role process of another test"]
async fn host() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let spec = |name: &str| AgentSpec::new(name, "Is sent hostile messages.");
    mesh.register([
        spec("echo").handler(|text: String| async move { text }),
        spec("list").handler(|texts: Vec<String>| async move { texts.len() }),
        spec("restricted").handler(|input: Restricted| async move { input.text.len() }),
        spec("any").handler(|value: Value| async move { value.is_null() }),
        spec("slow").concurrency(1024).handler(|(): ()| async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }),
        spec("stuck")
            .concurrency(1024)
            .handler(|(): ()| std::future::pending::<()>()),
        spec("count").handler(|to: u64| stream::iter(0..to)),
        spec("endless").handler(|(): ()| stream::repeat(1)),
        spec("poke").handler(|| async { true }),
        spec("tick").handler(stream::pending::<u32>),
    ])
    .await
    .unwrap();
    println!("{READY}");
    mesh.run().await.unwrap();
}
