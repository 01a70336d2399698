//! A minimal host, for start time and memory: `bench-host ours|raw URL PREFIX COUNT` serves echo agents
//! `PREFIX.agent-0` and so on until its input ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use futures::StreamExt;
use openagentmesh::schemars::{self, JsonSchema};
use openagentmesh::{AgentMesh, AgentSpec};
use serde::{Deserialize, Serialize};

/// The input and output of the agents, with a realistic number of fields: the host keeps the schema of
/// each agent in memory.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Order {
    /// The ordered article.
    article: String,
    /// The number of pieces.
    quantity: u32,
    /// The price of one piece, in the smallest unit of the currency.
    price: u64,
    /// The recipient.
    customer: Option<String>,
    /// Search terms.
    tags: Vec<String>,
    /// The discount as a fraction of the price.
    discount: f64,
    /// Whether the article is gift-wrapped.
    present: bool,
    /// A note of the customer.
    note: Option<String>,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [implementation, url, prefix, count] = &arguments[..] else {
        return Err("usage: bench-host ours|raw URL PREFIX COUNT".into());
    };
    let count: u32 = count.parse()?;
    let names = (0..count).map(|agent| format!("{prefix}.agent-{agent}"));
    match implementation.as_str() {
        "ours" => serve(url, names).await,
        "raw" => serve_raw(url, names).await,
        other => Err(format!("invalid implementation '{other}': use ours or raw").into()),
    }
}

async fn serve(url: &str, names: impl Iterator<Item = String>) -> Result<(), Error> {
    let mesh = AgentMesh::connect(url).await?;
    let agents = names.map(|name| {
        AgentSpec::new(name, "Returns its input.").handler(|order: Order| async move { order })
    });
    mesh.register(agents).await?;
    wait().await?;
    Ok(mesh.shutdown().await?)
}

/// Serves with a subscription and a task per agent.
async fn serve_raw(url: &str, names: impl Iterator<Item = String>) -> Result<(), Error> {
    let client = async_nats::connect(url).await?;
    for name in names {
        let mut requests = client.subscribe(name).await?;
        let client = client.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    client.publish(reply, request.payload).await?;
                }
            }
            Ok::<(), Error>(())
        });
    }
    client.flush().await?;
    wait().await
}

/// Reports readiness and waits for the end of the input.
async fn wait() -> Result<(), Error> {
    println!("\"ready\"");
    let reading = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    reading.await??;
    Ok(())
}
