//! A publisher sends events to all subscribers as long as it is served:
//! `cargo run --example publisher`, and run the printed command in one or more other terminals. All
//! subscribers receive the same events, starting with their subscription.

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use openagentmesh::{AgentMesh, agent, agents};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::interval;

/// A reading of the instruments on the roof.
#[derive(Serialize, JsonSchema)]
struct Reading {
    celsius: f64,
    wind_knots: u32,
}

/// Publishes the weather on the roof, twice a second.
#[agent(channel = "weather")]
fn roof() -> impl Stream<Item = Reading> {
    stream! {
        let mut ticks = interval(Duration::from_millis(500));
        for tick in 0_u32.. {
            ticks.tick().await;
            yield Reading {
                celsius: 17.0 + (f64::from(tick) / 20.0).sin() * 4.0,
                wind_knots: 8 + tick % 5,
            };
        }
    }
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving weather.roof on {}; try:", mesh.url());
    println!("  oam agent subscribe weather.roof");
    mesh.serve(agents![roof]).await
}
