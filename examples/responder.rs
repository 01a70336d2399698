//! A responder answers each request once: `cargo run --example responder`, and run the printed
//! commands in a second terminal. Look at how the types become the contract
//! (`oam agent contract shipping.quote`). A parcel of 40 kg violates the schema and is rejected
//! before the handler runs.

use openagentmesh::{AgentMesh, Error, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A parcel to ship.
#[derive(Deserialize, JsonSchema)]
struct Parcel {
    /// Two-letter code of the destination country.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    country: String,
    #[schemars(range(min = 1, max = 30_000))]
    grams: u32,
    #[serde(default)]
    express: bool,
}

/// Price and duration of the delivery.
#[derive(Serialize, JsonSchema)]
struct Quote {
    cents: u32,
    days: u32,
}

/// Returns the price and the duration of a delivery.
#[agent(channel = "shipping", tags = ["logistics"], version = "1.0.0")]
async fn quote(parcel: Parcel) -> Result<Quote, Error> {
    let (zone, days) = match parcel.country.as_str() {
        "SE" => (450, 2),
        "DK" | "FI" | "NO" => (900, 4),
        // An error code of this agent, which callers can match on.
        other => {
            let message = format!("no delivery to {other}");
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
    println!("serving shipping.quote on {}; try:", mesh.url());
    println!(r#"  oam agent call shipping.quote '{{"country": "SE", "grams": 1200}}'"#);
    println!(r#"  oam agent call shipping.quote '{{"country": "SE", "grams": 40000}}'"#);
    println!(r#"  oam agent call shipping.quote '{{"country": "FR", "grams": 1200}}'"#);
    mesh.serve(agents![quote]).await
}
