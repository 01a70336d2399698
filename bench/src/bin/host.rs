//! A host and nothing else, as small as its author would make it, so that its start can be timed and its
//! memory be told: `bench-host ours|raw URL PREFIX COUNT` serves agents `PREFIX.agent-0` and so on, which
//! give back what they get, until its input ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use futures::StreamExt;
use openagentmesh::schemars::{self, JsonSchema};
use openagentmesh::{AgentMesh, AgentSpec};
use serde::{Deserialize, Serialize};

/// What agents take and give: as many fields as those of a real one, because what a host knows of each
/// agent is in its memory.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Order {
    /// What is ordered.
    article: String,
    /// How many of it.
    quantity: u32,
    /// What one of it costs, in the smallest unit of the currency.
    price: u64,
    /// Whom it goes to.
    customer: Option<String>,
    /// Words to find it by.
    tags: Vec<String>,
    /// What part of the price is left out.
    discount: f64,
    /// Whether it is packed as a present.
    present: bool,
    /// What the customer has to say.
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
    let [who, url, prefix, count] = &arguments[..] else {
        return Err("usage: bench-host ours|raw URL PREFIX COUNT".into());
    };
    let count: u32 = count.parse()?;
    let names = (0..count).map(|agent| format!("{prefix}.agent-{agent}"));
    match who.as_str() {
        "ours" => serve(url, names).await,
        "raw" => serve_raw(url, names).await,
        who => Err(format!("nobody is called {who}").into()),
    }
}

async fn serve(url: &str, names: impl Iterator<Item = String>) -> Result<(), Error> {
    let mesh = AgentMesh::connect(url).await?;
    let agents = names.map(|name| {
        AgentSpec::new(name, "Gives back.").handler(|order: Order| async move { order })
    });
    mesh.register(agents).await?;
    wait().await?;
    Ok(mesh.shutdown().await?)
}

/// A subscription for each, and a task.
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

/// Says that it can be called, and waits until the input ends.
async fn wait() -> Result<(), Error> {
    println!("\"ready\"");
    let reading = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    reading.await??;
    Ok(())
}
