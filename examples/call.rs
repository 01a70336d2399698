//! A call asks one question and waits for the answer: `cargo run --example call`. It serves what
//! it calls, so that it runs alone; any agent on the mesh is called in the same way. Look at how
//! failures arrive: as codes to match on.

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
        "asked for a rate by {}",
        ctx.header("Desk").unwrap_or("nobody")
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

    // The types are those of the program; serde does the rest.
    let kronor = Money {
        cents: 10_000,
        currency: "SEK".to_owned(),
    };
    let euros: Money = mesh.call("money.to_euros", &kronor).await?;
    println!("100.00 SEK are {} euro cents", euros.cents);

    // Without types, and with a header that the agent can read.
    let euros = mesh
        .call::<Value>("money.to_euros", json!({"cents": 500, "currency": "DKK"}))
        .header("Desk", "counter 3")
        .await?;
    println!("5.00 DKK are {euros}");

    // An agent's own error keeps its code.
    let pounds = json!({"cents": 500, "currency": "GBP"});
    if let Err(error) = mesh.call::<Money>("money.to_euros", pounds).await {
        println!("{}: {error}", error.code());
    }

    // An input that does not fit is refused with every problem, and the handler is not run.
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

    // Nobody waits for ever, and the handler ends together with its caller.
    let approval = mesh
        .call::<bool>("money.approve", &kronor)
        .timeout(Duration::from_millis(200));
    match approval.await {
        Ok(approved) => println!("approved: {approved}"),
        Err(error) if error.code() == &ErrorCode::Timeout => println!("nobody is in"),
        Err(error) => return Err(error),
    }
    mesh.shutdown().await
}
