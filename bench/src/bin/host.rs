//! A host and nothing else, as small as its author would make it, so that its start can be timed and its
//! memory be told: `bench-host ours|raw URL PREFIX COUNT` serves agents `PREFIX.agent-0` and so on, which
//! give back what they get, until its input ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use futures::StreamExt;
use openagentmesh::{AgentMesh, AgentSpec};

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
        AgentSpec::new(name, "Gives back.").handler(|body: String| async move { body })
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
