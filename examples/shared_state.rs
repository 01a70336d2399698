//! Agents without the macro: closures that share a value by `Arc`. `cargo run --example
//! shared_state`, and type in a second terminal what it prints. This is how agents are made whose
//! names are known only when the program runs: here, of the garage that it is started for.

use std::collections::BTreeSet;
use std::sync::Arc;

use openagentmesh::{Agent, AgentMesh, AgentSpec, Error};
use tokio::sync::Mutex;

/// The agents of one garage with so many places.
fn garage(name: &str, places: usize) -> [Agent; 2] {
    let parked = Arc::new(Mutex::new(BTreeSet::<String>::new()));

    let enter = {
        let parked = Arc::clone(&parked);
        AgentSpec::new("enter", "Lets a car in and tells how many places are left.")
            .channel(name)
            .handler(move |plate: String| {
                // Each request has a handle of its own.
                let parked = Arc::clone(&parked);
                async move {
                    let mut parked = parked.lock().await;
                    if parked.len() == places && !parked.contains(&plate) {
                        return Err(Error::new("full", "there is no place left"));
                    }
                    parked.insert(plate);
                    Ok(places - parked.len())
                }
            })
    };
    let leave = AgentSpec::new("leave", "Lets a car out, and tells whether it was there.")
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
    mesh.register(garage(&name, 2)).await?;
    println!(
        "serving {name}.enter and {name}.leave on {}; try:",
        mesh.url()
    );
    println!("  oam agent call {name}.enter '\"ABC 123\"'");
    println!("  oam agent call {name}.enter '\"DEF 456\"'");
    println!("  oam agent call {name}.enter '\"GHI 789\"'");
    println!("  oam agent call {name}.leave '\"ABC 123\"'");
    mesh.run().await
}
