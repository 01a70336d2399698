//! Agents without the macro: closures that share state by `Arc`.
//! `cargo run --example shared_state`, and run the printed commands in a second terminal. Use this
//! form for agents whose names are known only at runtime: here, the name of the garage is an
//! argument.

use std::collections::BTreeSet;
use std::sync::Arc;

use openagentmesh::{Agent, AgentMesh, AgentSpec, Error};
use tokio::sync::Mutex;

/// The agents of one garage.
fn garage(name: &str, capacity: usize) -> [Agent; 2] {
    let parked = Arc::new(Mutex::new(BTreeSet::<String>::new()));

    let enter = {
        let parked = Arc::clone(&parked);
        AgentSpec::new(
            "enter",
            "Lets a car in and returns the number of free places.",
        )
        .channel(name)
        .handler(move |plate: String| {
            // Each request gets its own clone.
            let parked = Arc::clone(&parked);
            async move {
                let mut parked = parked.lock().await;
                if parked.len() == capacity && !parked.contains(&plate) {
                    return Err(Error::new("full", "the garage is full"));
                }
                parked.insert(plate);
                Ok(capacity - parked.len())
            }
        })
    };
    let leave = AgentSpec::new("leave", "Lets a car out and returns whether it was parked.")
        .channel(name)
        .handler(move |plate: String| {
            let parked = Arc::clone(&parked);
            async move { parked.lock().await.remove(&plate) }
        });
    [enter, leave]
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let name = std::env::args().nth(1).unwrap_or("garage".to_owned());
    let mesh = AgentMesh::from_env().await?;
    println!(
        "serving {name}.enter and {name}.leave on {}; try:",
        mesh.url()
    );
    println!("  oam agent call {name}.enter '\"ABC 123\"'");
    println!("  oam agent call {name}.enter '\"DEF 456\"'");
    println!("  oam agent call {name}.enter '\"GHI 789\"'");
    println!("  oam agent call {name}.leave '\"ABC 123\"'");
    mesh.serve(garage(&name, 2)).await
}
