//! A send does not wait for the reply: `cargo run --example send`. The example serves its own
//! agents, so that it runs alone. Look at the three ways to handle the reply.

use openagentmesh::{AgentMesh, Error, Result, agent, agents};
use tokio::sync::mpsc;

/// Translates a word to Swedish.
#[agent(channel = "text")]
async fn translate(word: String) -> Result<String> {
    match word.as_str() {
        "bread" => Ok("bröd".to_owned()),
        "butter" => Ok("smör".to_owned()),
        "jam" => Ok("sylt".to_owned()),
        _ => Err(Error::new(
            "unknown_word",
            format!("no translation of '{word}'"),
        )),
    }
}

/// Writes a line to the journal.
#[agent(channel = "journal")]
async fn write(line: String) {
    println!("journal: {line}");
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![translate, write]).await?;

    // Fire and forget: no reply, and no error if no host serves the agent.
    mesh.send("journal.write", "breakfast begins").await?;

    // A handle, awaited when the reply is needed.
    let bread = mesh
        .send("text.translate", "bread")
        .reply::<String>()
        .await?;
    let butter = mesh
        .send("text.translate", "butter")
        .reply::<String>()
        .await?;
    println!("{} och {}", bread.await?, butter.await?);

    // Callbacks: one of the two runs, in a separate task, when the reply arrives.
    let (sender, mut outcomes) = mpsc::channel(1);
    for word in ["jam", "marmalade"] {
        let (translated, failed) = (sender.clone(), sender.clone());
        mesh.send("text.translate", word)
            .on_reply(move |swedish: String| async move {
                let _ = translated.send(format!("{word} is {swedish}")).await;
            })
            .on_error(move |error| async move {
                let _ = failed.send(format!("{}: {error}", error.code())).await;
            })
            .await?;
    }
    drop(sender);
    while let Some(outcome) = outcomes.recv().await {
        println!("{outcome}");
    }

    // Shutdown waits for the requests that agents of this process still handle.
    mesh.send("journal.write", "breakfast ends").await?;
    mesh.shutdown().await
}
