//! A responder answers each request once: `cargo run --example responder`, and type in a second
//! terminal what it prints. Look at how the types become the contract (`oam agent contract
//! shipping.quote`) and at what a parcel of 40 kg is answered: the handler never sees it.

use openagentmesh::{AgentMesh, Error, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A parcel that is to be sent.
#[derive(Deserialize, JsonSchema)]
struct Parcel {
    /// Where to: a country's two letters.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    country: String,
    #[schemars(range(min = 1, max = 30_000))]
    grams: u32,
    #[serde(default)]
    express: bool,
}

/// What sending a parcel takes.
#[derive(Serialize, JsonSchema)]
struct Quote {
    cents: u32,
    days: u32,
}

/// Tells what sending a parcel costs, and how long it takes.
#[agent(channel = "shipping", tags = ["logistics"], version = "1.0.0")]
async fn quote(parcel: Parcel) -> Result<Quote, Error> {
    let (zone, days) = match parcel.country.as_str() {
        "SE" => (450, 2),
        "DK" | "FI" | "NO" => (900, 4),
        // A code of one's own, for callers that can act on it.
        other => {
            let message = format!("nothing is delivered to {other}");
            return Err(Error::new("no_service", message));
        }
    };
    let cents = zone + parcel.grams / 10;
    Ok(match parcel.express {
        true => Quote {
            cents: cents * 2,
            days: 1,
        },
        false => Quote { cents, days },
    })
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![quote]).await?;
    println!("serving shipping.quote on {}; try:", mesh.url());
    println!(r#"  oam agent call shipping.quote '{{"country": "SE", "grams": 1200}}'"#);
    println!(r#"  oam agent call shipping.quote '{{"country": "SE", "grams": 40000}}'"#);
    println!(r#"  oam agent call shipping.quote '{{"country": "FR", "grams": 1200}}'"#);
    mesh.run().await
}
