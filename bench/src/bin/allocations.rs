//! Counts the allocations of `catalog()`: `bench-allocations URL CHANNEL`. A separate program, because the
//! counter replaces the global allocator.
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
    // The first query loads the catalog; later ones are answered from memory.
    let few = mesh.catalog().channel(channel).await?.len();
    if few == 0 {
        return Err(format!("channel '{channel}' has no agents").into());
    }
    let allocations = [(channel.as_str(), few), ("empty.channel", 0)]
        .map(|(channel, agents)| count(&mesh, channel, agents));
    let [few, none] = allocations;
    println!("{{\"few\": {}, \"none\": {}}}", few?, none?);
    Ok(())
}

/// Counts the allocations of a query of `channel`, on this thread.
fn count(mesh: &AgentMesh, channel: &str, agents: usize) -> Result<u64, Error> {
    let mut found = None;
    let counted = allocation_counter::measure(|| {
        found = mesh.catalog().channel(channel).into_future().now_or_never();
    });
    let found = found.ok_or("the catalog was not loaded")??.len();
    if found != agents {
        return Err(format!("the channel has {found} of {agents} agents").into());
    }
    Ok(counted.count_total)
}
