//! Checks the instance record of the host.

use std::time::Duration;

use openagentmesh_protocol::{Capabilities, InstanceId, bucket, subject};
use serde_json::Value;

use super::exchange::{Ask, Host};
use super::input::Input;
use crate::error::Error;
use crate::rules::instances as rules;
use crate::store::Bucket;
use crate::wire::next_within;

/// A longer lease is not waited for.
const MAX_LEASE: Duration = Duration::from_secs(30);
/// The number of records that are read.
const MAX_RECORDS: usize = 1000;

/// Checks the records of the instances that serve the agent. `replied` is the id in a reply.
pub(super) async fn check(
    host: Host<'_>,
    replied: Option<&str>,
    input: &Input,
    capabilities: Capabilities,
) -> Result<(), Error> {
    let records = records(host).await?;
    let name = host.name;
    let reason = format!("no record: none in '{}' lists '{name}'", bucket::INSTANCES);
    host.verdicts
        .require(rules::RECORD, !records.is_empty(), reason);
    if records.is_empty() {
        host.verdicts
            .skip_all(rules::TABLE, "no instance record lists the agent");
        return Ok(());
    }
    for (id, record) in &records {
        host.verdicts.judge(
            rules::AGENTS,
            sorted_names(&record["agents"]).map_err(|error| format!("record '{id}': {error}")),
        );
    }
    match replied {
        None => host
            .verdicts
            .skip(rules::SAME_ID, "no message of the agent carries an id"),
        Some(replied) => {
            let is_known = records.iter().any(|(id, _)| id == replied);
            let reason = format!("no record at '{replied}', the id in a reply");
            host.verdicts.require(rules::SAME_ID, is_known, reason);
        }
    }
    let own = records
        .iter()
        .find(|(id, _)| replied.is_none_or(|replied| id == replied));
    let (id, record) = own.unwrap_or(&records[0]);
    futures::try_join!(
        check_lease(host, id, record),
        check_direct(host, id, input, capabilities)
    )?;
    Ok(())
}

/// The records that list the agent, each with its key.
pub(super) async fn records(host: Host<'_>) -> Result<Vec<(String, Value)>, Error> {
    let mut records = Vec::new();
    let Some(bucket) = Bucket::open(host.mesh, bucket::INSTANCES).await? else {
        return Ok(records);
    };
    for key in bucket.keys().await?.into_iter().take(MAX_RECORDS) {
        let Some(stored) = bucket.get(&key).await? else {
            continue;
        };
        let Ok(record) = serde_json::from_slice::<Value>(&stored.value) else {
            continue;
        };
        let agents = record["agents"].as_array().into_iter().flatten();
        if agents.into_iter().any(|agent| agent == host.name.as_str()) {
            records.push((key, record));
        }
    }
    Ok(records)
}

fn sorted_names(agents: &Value) -> Result<(), String> {
    let names: Option<Vec<&str>> = agents
        .as_array()
        .and_then(|agents| agents.iter().map(Value::as_str).collect());
    match names {
        None => Err("agents is not a list of names".to_owned()),
        Some(names) if !names.is_sorted() => Err("agents is not sorted".to_owned()),
        Some(_) => Ok(()),
    }
}

async fn check_lease(host: Host<'_>, id: &str, record: &Value) -> Result<(), Error> {
    let Some(lease) = record["lease_ms"].as_u64().map(Duration::from_millis) else {
        host.verdicts
            .fail(rules::LEASE, "missing lease: the record has no lease_ms");
        return Ok(());
    };
    if lease > MAX_LEASE {
        host.verdicts.skip(
            rules::LEASE,
            format!(
                "the lease of {} s is too long for the check",
                lease.as_secs()
            ),
        );
        return Ok(());
    }
    let mut writes = host
        .mesh
        .subscribe(subject::kv(bucket::INSTANCES, id))
        .await?;
    let written = next_within(&mut writes, lease).await;
    let reason = format!(
        "lease expired: the record was not written for {} ms",
        lease.as_millis()
    );
    host.verdicts
        .require(rules::LEASE, written.is_some(), reason);
    Ok(())
}

async fn check_direct(
    host: Host<'_>,
    id: &str,
    input: &Input,
    capabilities: Capabilities,
) -> Result<(), Error> {
    let (Some(body), true, Ok(id)) = (&input.body, capabilities.invocable, InstanceId::parse(id))
    else {
        host.verdicts
            .skip(rules::DIRECT, "no valid request is known");
        return Ok(());
    };
    let ask = Ask::call(host.name, body).by(capabilities.streaming);
    let observed = host
        .exchange(ask.on(subject::instance_request(&id, host.name)))
        .await?;
    let is_answered = Host::is_served(&observed) || observed.error().is_some();
    let reason = format!(
        "no answer on the subject of the instance: {}",
        observed.describe()
    );
    host.verdicts.require(rules::DIRECT, is_answered, reason);
    Ok(())
}
