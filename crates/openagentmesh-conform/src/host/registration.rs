//! Checks the registration of an agent while it happens.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use openagentmesh_protocol::header::{EXPECTED_LAST_SUBJECT_SEQUENCE, KV_OPERATION};
use openagentmesh_protocol::{bucket, subject};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::exchange::{Ask, Host};
use super::target::entry_of;
use crate::error::Error;
use crate::rules::registration as rules;
use crate::store::Bucket;
use crate::wire::{header as header_of, is_no_responders, next_until};

/// The number of attempts to write the catalog against other writers.
const MAX_ATTEMPTS: usize = 20;
/// All writes of key-value buckets, in the order of the server.
const ALL_WRITES: &str = "$KV.>";

/// Waits for the registration of the agent and judges its order.
pub(super) async fn check(
    host: Host<'_>,
    limit: Duration,
    on_prompt: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), Error> {
    let mut writes = host.mesh.subscribe(ALL_WRITES).await?;
    let witness = Witness::add(host).await?;
    on_prompt(&format!(
        "agent '{}' is not registered; start its host within {} s",
        host.name,
        limit.as_secs_f32()
    ));
    let end = Instant::now() + limit;
    let mut seen = Seen::default();
    while !seen.is_listed
        && let Some(write) = next_until(&mut writes, end).await
    {
        seen.apply(host, &write, &witness).await?;
    }
    if seen.is_listed {
        // The record may follow.
        let until = Instant::now() + host.settings.quiet_time;
        while let Some(write) = next_until(&mut writes, until).await {
            seen.apply(host, &write, &witness).await?;
        }
        let reason = "no record: none listed the agent when the catalog did";
        host.verdicts
            .require(rules::RECORD, seen.has_record, reason);
    }
    remove_witness(host).await
}

/// Removes the entry of the kit from the catalog, if it is there.
pub(super) async fn remove_witness(host: Host<'_>) -> Result<(), Error> {
    let name = witness_name(host);
    if let Some(bucket) = Bucket::open(host.mesh, bucket::CATALOG).await? {
        change(&bucket, |entries| {
            entries.retain(|entry| entry["name"] != name.as_str())
        })
        .await?;
    }
    Ok(())
}

fn witness_name(host: Host<'_>) -> String {
    format!("conform.witness.{}", host.name)
}

/// The writes of a registration so far.
#[derive(Default)]
struct Seen {
    has_contract: bool,
    is_listed: bool,
    /// Whether an instance record lists the agent.
    has_record: bool,
}

impl Seen {
    async fn apply(
        &mut self,
        host: Host<'_>,
        write: &Message,
        witness: &Witness,
    ) -> Result<(), Error> {
        let verdicts = host.verdicts;
        if header_of(write, KV_OPERATION).is_some() {
            return Ok(());
        }
        let subject = write.subject.as_str();
        if subject == subject::kv(bucket::REGISTRY, host.name.as_str()) {
            self.has_contract = true;
        } else if subject == subject::kv(bucket::CATALOG, bucket::CATALOG_KEY) {
            if self.is_listed {
                return Ok(());
            }
            let Some(entry) = entry_of(&write.payload, host.name) else {
                return Ok(());
            };
            self.is_listed = true;
            let reason =
                "wrong order: the catalog lists the agent, and the registry had no contract";
            verdicts.require(rules::CONTRACT_FIRST, self.has_contract, reason);
            let swaps = header_of(write, EXPECTED_LAST_SUBJECT_SEQUENCE).is_some();
            let reason = format!(
                "unguarded write: the catalog was written without {EXPECTED_LAST_SUBJECT_SEQUENCE}"
            );
            verdicts.require(rules::COMPARE_AND_SWAP, swaps, reason);
            witness.judge(host, &write.payload);
            if entry["invocable"] == true {
                let is_served = is_served(host).await?;
                let reason =
                    "wrong order: the catalog lists the agent, and its subject has no subscriber";
                verdicts.require(rules::SUBSCRIBED_FIRST, is_served, reason);
            }
        } else if subject.starts_with(&subject::kv(bucket::INSTANCES, "")) {
            let record: Value = serde_json::from_slice(&write.payload).unwrap_or_default();
            let agents = record["agents"].as_array();
            self.has_record |=
                agents.is_some_and(|agents| agents.iter().any(|agent| agent == host.name.as_str()));
        }
        Ok(())
    }
}

/// Whether the subject of the agent has a subscriber now.
pub(super) async fn is_served(host: Host<'_>) -> Result<bool, Error> {
    let inbox = host.mesh.client.new_inbox();
    let mut replies = host.mesh.subscribe(inbox.clone()).await?;
    // A deadline that has passed, so that a host with deadlines runs no handler.
    let ask =
        Ask::call(host.name, &Bytes::new()).header(openagentmesh_protocol::header::TIMEOUT_MS, "0");
    host.mesh.send(ask.message.reply(inbox)).await?;
    host.mesh.settle().await?;
    // The report of the server precedes the end of the round trip.
    let first = next_until(&mut replies, Instant::now() + Duration::from_millis(100)).await;
    Ok(!first.is_some_and(|message| is_no_responders(&message)))
}

/// An entry of the kit, which every writer of the catalog has to keep.
struct Witness(Option<Value>);

impl Witness {
    async fn add(host: Host<'_>) -> Result<Self, Error> {
        let Some(bucket) = Bucket::open(host.mesh, bucket::CATALOG).await? else {
            return Ok(Self(None));
        };
        let entry = json!({
            "name": witness_name(host),
            "description": "An entry of the conformance kit, which other writers keep.",
            "version": "0.1.0", "tags": ["conform"], "invocable": false, "streaming": false,
            "x-conform": {"kept": [1.5, null, "ä"]},
        });
        change(&bucket, |entries| entries.push(entry.clone())).await?;
        Ok(Self(Some(entry)))
    }

    fn judge(&self, host: Host<'_>, catalog: &[u8]) {
        let Some(witness) = &self.0 else {
            return host
                .verdicts
                .skip(rules::KEEPS_ENTRIES, "the mesh had no catalog before");
        };
        let entries: Vec<Value> = serde_json::from_slice(catalog).unwrap_or_default();
        let found = entries
            .iter()
            .find(|entry| entry["name"] == witness["name"]);
        let verdict = match found {
            None => Err("entry lost: the write removed the entry of another host"),
            Some(entry) if entry != witness => {
                Err("field lost: the write changed the entry of another host")
            }
            Some(_) => Ok(()),
        };
        host.verdicts.judge(rules::KEEPS_ENTRIES, verdict);
    }
}

/// Changes the catalog by compare-and-swap. Gives up against a catalog that is not an array.
async fn change(bucket: &Bucket, change: impl Fn(&mut Vec<Value>)) -> Result<(), Error> {
    for _ in 0..MAX_ATTEMPTS {
        let stored = bucket.get(bucket::CATALOG_KEY).await?;
        let revision = stored.as_ref().map_or(0, |stored| stored.revision);
        let text = stored.map_or(Bytes::from_static(b"[]"), |stored| stored.value);
        let Ok(mut entries) = serde_json::from_slice::<Vec<Value>>(&text) else {
            return Ok(());
        };
        let before = entries.len();
        change(&mut entries);
        if entries.len() == before {
            return Ok(());
        }
        let text = Value::Array(entries).to_string();
        if bucket
            .swap(bucket::CATALOG_KEY, text.into(), revision)
            .await?
        {
            return Ok(());
        }
    }
    Ok(())
}
