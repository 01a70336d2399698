//! An agent that waits for the approval of a person: `cargo run --example approval`, and run the printed
//! commands in two other terminals. The decision is a shared value, so that any program can set it.

use std::time::Duration;

use openagentmesh::{
    AgentMesh, Client, Context, Error, ErrorCode, KvChange, Result, agent, agents,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;

/// Invoices of up to this amount, 100.00, are paid without approval.
const MAX_CENTS_WITHOUT_APPROVAL: u32 = 10_000;

/// The time that is left for the reply when no decision has come.
const REPLY_TIME: Duration = Duration::from_secs(1);

#[derive(Deserialize, JsonSchema)]
struct Invoice {
    number: u32,
    payee: String,
    cents: u32,
}

/// Pays an invoice. A person approves large amounts.
#[agent(channel = "payments", timeout = "8h", concurrency = 1000)]
async fn pay(ctx: Context, invoice: Invoice) -> Result<String> {
    let amount = format!("{}.{:02}", invoice.cents / 100, invoice.cents % 100);
    if invoice.cents > MAX_CENTS_WITHOUT_APPROVAL {
        let key = format!("approvals.{}", invoice.number);
        let pending = format!("pending: {amount} to {}", invoice.payee);
        let left = ctx.time_left().unwrap_or(Duration::from_secs(3600));
        let decision = decision(ctx.mesh(), &key, pending);
        match timeout(left.saturating_sub(REPLY_TIME), decision).await {
            Ok(Ok(decision)) if decision == "yes" => {}
            Ok(Ok(_)) => return Err(Error::new("rejected", format!("{key} is not yes"))),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::new("not_decided", format!("{key} is still pending"))),
        }
    }
    Ok(format!("paid {amount} to {}", invoice.payee))
}

/// Sets `key` to `pending`, and waits until another program changes it.
async fn decision(mesh: &Client, key: &str, pending: String) -> Result<String> {
    let kv = mesh.kv();
    match kv.create(key, pending).await {
        // An earlier request has asked.
        Err(error) if error.code() == &ErrorCode::KvKeyExists => {}
        created => drop(created?),
    }
    // The current value comes first, so that a decision before the watch is not missed.
    let mut changes = kv.watch(key).await?;
    while let Some(change) = changes.next().await {
        match change? {
            KvChange::Put(entry) if entry.text()?.starts_with("pending") => {}
            KvChange::Put(entry) => return Ok(entry.text()?.trim().to_owned()),
            _ => return Ok("deleted".to_owned()),
        }
    }
    Err(Error::new("not_decided", "the connection is closed"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving payments.pay on {}; try:", mesh.url());
    println!(
        r#"  oam agent call payments.pay '{{"number": 17, "payee": "ACME", "cents": 25000}}'"#
    );
    println!("  oam kv put approvals.17 yes");
    mesh.serve(agents![pay]).await
}
