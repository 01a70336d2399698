//! A call sends a request and waits for the reply: `cargo run --example call`. The example serves
//! its own agents, so that it runs alone; any agent on the mesh is called in the same way. Look at
//! the errors: each has a code to match on.

use std::time::Duration;

use openagentmesh::{AgentMesh, Context, Error, ErrorCode, Result, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Money {
    cents: u32,
    currency: String,
}

/// Converts an amount to euros.
#[agent(channel = "money")]
async fn to_euros(ctx: Context, amount: Money) -> Result<Money> {
    let rate = match amount.currency.as_str() {
        "SEK" => 0.09,
        "DKK" => 0.13,
        other => return Err(Error::new("no_rate", format!("no rate for {other}"))),
    };
    let cents = (f64::from(amount.cents) * rate).round() as u32;
    println!(
        "rate requested by {}",
        ctx.header("Desk").unwrap_or("an unknown desk")
    );
    let currency = "EUR".to_owned();
    Ok(Money { cents, currency })
}

/// Asks the manager, who is on holiday.
#[agent(channel = "money")]
async fn approve(_: Money) -> bool {
    std::future::pending().await
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![to_euros, approve]).await?;

    // Typed input and output, through serde.
    let kronor = Money {
        cents: 10_000,
        currency: "SEK".to_owned(),
    };
    let euros: Money = mesh.call("money.to_euros", &kronor).await?;
    println!("100.00 SEK are {} euro cents", euros.cents);

    // Untyped JSON, with a header for the agent.
    let euros = mesh
        .call::<Value>("money.to_euros", json!({"cents": 500, "currency": "DKK"}))
        .header("Desk", "counter 3")
        .await?;
    println!("5.00 DKK are {euros}");

    // The error of an agent keeps its code.
    let pounds = json!({"cents": 500, "currency": "GBP"});
    if let Err(error) = mesh.call::<Money>("money.to_euros", pounds).await {
        println!("{}: {error}", error.code());
    }

    // An invalid input is rejected with a list of all problems, and the handler does not run.
    if let Err(error) = mesh
        .call::<Money>("money.to_euros", json!({"cents": -1, "currency": "SEK"}))
        .await
    {
        println!(
            "{}: {}",
            error.code(),
            error.details()["errors"][0]["location"]
        );
    }

    // Every call has a timeout. When it expires, the handler is cancelled too.
    let approval = mesh
        .call::<bool>("money.approve", &kronor)
        .timeout(Duration::from_millis(200));
    match approval.await {
        Ok(approved) => println!("approved: {approved}"),
        Err(error) if error.code() == &ErrorCode::Timeout => println!("no approval in time"),
        Err(error) => return Err(error),
    }
    mesh.shutdown().await
}
