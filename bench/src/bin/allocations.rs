//! Counts what `catalog()` allocates. A program of its own, because whoever counts allocations has all
//! of them counted: `bench-allocations URL CHANNEL`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use futures::FutureExt;
use openagentmesh::AgentMesh;

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
    let [url, channel] = &arguments[..] else {
        return Err("usage: bench-allocations URL CHANNEL".into());
    };
    let mesh = AgentMesh::connect(url).await?;
    // From here on the catalog is known, and nobody has to be asked.
    let few = mesh.catalog().channel(channel).await?.len();
    if few == 0 {
        return Err(format!("there are no agents in channel '{channel}'").into());
    }
    let allocations = [(channel.as_str(), few), ("nobody.is.here", 0)]
        .map(|(channel, agents)| count(&mesh, channel, agents));
    let [few, none] = allocations;
    println!("{{\"few\": {}, \"none\": {}}}", few?, none?);
    Ok(())
}

/// What it takes to be told of the agents of `channel`, on this thread.
fn count(mesh: &AgentMesh, channel: &str, agents: usize) -> Result<u64, Error> {
    let mut found = None;
    let counted = allocation_counter::measure(|| {
        found = mesh.catalog().channel(channel).into_future().now_or_never();
    });
    let found = found.ok_or("the catalog was not known")??.len();
    if found != agents {
        return Err(format!("{found} agents were found of {agents}").into());
    }
    Ok(counted.count_total)
}
