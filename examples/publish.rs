//! A client can publish to any subject, without an agent: `cargo run --example publish`. The
//! example subscribes to its own subjects, so that it runs alone. Look at how each kind of content
//! arrives: JSON as a value, text as a string, bytes unchanged.

use futures::TryStreamExt;
use openagentmesh::{AgentMesh, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    number: u32,
    grams: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    // Events are not stored: subscribe before they are published.
    let mut parcels = mesh.subscribe_subject::<Parcel>("depot.parcels").await?;
    let mut notes = mesh.subscribe_subject::<String>("depot.notes").await?;
    let mut photos = mesh.subscribe_subject::<()>("depot.photos").raw().await?;

    let parcel = Parcel {
        number: 7,
        grams: 1200,
    };
    mesh.publish("depot.parcels", &parcel)
        .header("Gate", "B")
        .await?;
    if let Some(event) = parcels.try_next().await? {
        let gate = event.header("Gate").unwrap_or("none");
        println!("at gate {gate}: {:?}", event.data);
    }

    mesh.publish_text("depot.notes", "mind the glass").await?;
    if let Some(note) = notes.try_next().await? {
        println!("a note: {}", note.data);
    }

    mesh.publish_bytes("depot.photos", vec![0xff, 0xd8, 0xff])
        .await?;
    if let Some(photo) = photos.try_next().await? {
        println!("a photo of {} bytes", photo.data.len());
    }
    mesh.shutdown().await
}
