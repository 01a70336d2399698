//! A send asks and goes on: `cargo run --example send`. It serves what it sends to, so that it
//! runs alone. Look at the three ways in which the answer can come, or not.

use openagentmesh::{AgentMesh, Error, Result, agent, agents};
use tokio::sync::mpsc;

/// Translates a word to Swedish.
#[agent(channel = "text")]
async fn translate(word: String) -> Result<String> {
    match word.as_str() {
        "bread" => Ok("bröd".to_owned()),
        "butter" => Ok("smör".to_owned()),
        "jam" => Ok("sylt".to_owned()),
        _ => Err(Error::new("unknown_word", format!("what is '{word}'?"))),
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

    // Fire and forget: no answer, and no word of whether anybody was there.
    mesh.send("journal.write", "breakfast begins").await?;

    // A handle, which is awaited when the answer is needed.
    let bread = mesh
        .send("text.translate", "bread")
        .reply::<String>()
        .await?;
    let butter = mesh
        .send("text.translate", "butter")
        .reply::<String>()
        .await?;
    println!("{} och {}", bread.await?, butter.await?);

    // Callbacks: one of the two is run, in a task of its own, when the answer comes.
    let (told, mut answers) = mpsc::channel(1);
    for word in ["jam", "marmalade"] {
        let (translated, failed) = (told.clone(), told.clone());
        mesh.send("text.translate", word)
            .on_reply(move |swedish: String| async move {
                let _ = translated.send(format!("{word} is {swedish}")).await;
            })
            .on_error(move |error| async move {
                let _ = failed.send(format!("{}: {error}", error.code())).await;
            })
            .await?;
    }
    drop(told);
    while let Some(answer) = answers.recv().await {
        println!("{answer}");
    }

    // What was sent to agents of this process is finished before it leaves.
    mesh.send("journal.write", "breakfast ends").await?;
    mesh.shutdown().await
}
