//! Catalogs and registry documents that any peer can write: agents stay callable, hosts repair, readers keep the last
//! valid catalog.

mod cases;
#[cfg(target_os = "linux")]
mod memory;
mod repair;

use cases::Change;
use futures::stream;
use openagentmesh::{Agent, AgentMesh, AgentSpec};

use crate::support::echo;

/// Makes the change as a plain client.
async fn apply(raw: &async_nats::Client, change: &Change) {
    let jetstream = async_nats::jetstream::new(raw.clone());
    let store = async |bucket: &str| jetstream.get_key_value(bucket).await.unwrap();
    let stream = async |name: &str| jetstream.get_stream(name).await.unwrap();
    match change {
        Change::Catalog(value) => {
            let catalog = store("mesh-catalog").await;
            catalog.put("catalog", value.clone()).await.unwrap();
        }
        Change::Contract(value) => {
            let registry = store("mesh-registry").await;
            registry.put("echo", value.clone()).await.unwrap();
        }
        Change::PurgedCatalog => {
            stream("KV_mesh-catalog").await.purge().await.unwrap();
        }
        Change::PurgedRegistry => {
            stream("KV_mesh-registry").await.purge().await.unwrap();
        }
        Change::DeletedCatalogKey => store("mesh-catalog").await.delete("catalog").await.unwrap(),
        Change::DeletedContractKey => store("mesh-registry").await.delete("echo").await.unwrap(),
        Change::DeletedCatalogBucket => {
            jetstream.delete_stream("KV_mesh-catalog").await.unwrap();
        }
        Change::DeletedRegistryBucket => {
            jetstream.delete_stream("KV_mesh-registry").await.unwrap();
        }
    }
}

/// One agent for each verb, except "echo".
fn others() -> Vec<Agent> {
    vec![
        AgentSpec::new("words", "Streams.").handler(|text: String| stream::iter([text])),
        AgentSpec::new("tick", "Publishes.").handler(|| {
            stream::unfold(0_u32, |count| async move {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                Some((count, count + 1))
            })
        }),
    ]
}

/// Whether catalog and registry have what both hosts serve.
async fn is_repaired(mesh: &AgentMesh) -> bool {
    for (name, description, verb) in [
        ("echo", "Echoes a message back.", (true, false)),
        ("words", "Streams.", (true, true)),
        ("tick", "Publishes.", (false, true)),
    ] {
        let Ok(entries) = mesh.catalog().channel(name).await else {
            return false;
        };
        let is_listed = entries.iter().any(|entry| {
            entry.name == name
                && entry.description == description
                && (entry.invocable, entry.streaming) == verb
        });
        match mesh.contract(name).await {
            Ok(contract) if is_listed && contract.description == description => {}
            _ => return false,
        }
    }
    matches!(mesh.catalog().problem().await, Ok(None))
}

fn echo_host() -> Agent {
    echo()
}
