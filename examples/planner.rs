//! An agent that calls other agents: `cargo run --example planner`, and run the printed commands in a
//! second terminal. The deadline of the caller applies to the calls of the handler, too.

use std::time::Duration;

use openagentmesh::{AgentMesh, Context, Error, Result, agent, agents};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::sleep;

/// Forecasts the weather of a city.
#[agent(channel = "weather")]
async fn forecast(city: String) -> Result<String> {
    match city.as_str() {
        "Lisbon" => Ok("sunny".to_owned()),
        "Bergen" => Ok("rain".to_owned()),
        _ => Err(Error::new("unknown_city", format!("no station in {city}"))),
    }
}

/// Lists the museums of a city, most popular first.
#[agent(channel = "city")]
async fn museums(city: String) -> Vec<String> {
    // The register of museums is slow.
    sleep(Duration::from_millis(300)).await;
    vec![
        format!("Museum of {city}"),
        format!("{city} Harbour Museum"),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Plan {
    weather: String,
    visit: String,
}

/// Plans a day in a city.
#[agent(channel = "trip")]
async fn plan(ctx: Context, city: String) -> Result<Plan> {
    let mesh = ctx.mesh();
    // By the types of a function in scope, and by name for an agent of another program. Both run at
    // the same time; the first error drops the other call, which cancels its handler.
    let (weather, museums) = tokio::try_join!(
        forecast::call(mesh, &city),
        mesh.call::<Vec<String>>("city.museums", &city),
    )
    .map_err(|error| match error.is("unknown_city") {
        // A code of this agent. Any other error of a call is a `handler_error` for the caller.
        true => Error::new("unknown_city", error.message()),
        false => error,
    })?;
    let visit = match weather.as_str() {
        "sunny" => format!("the beach of {city}"),
        _ => museums.into_iter().next().unwrap_or("a café".to_owned()),
    };
    Ok(Plan { weather, visit })
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving trip.plan and its helpers on {}; try:", mesh.url());
    println!("  oam agent call trip.plan '\"Bergen\"'");
    println!("  oam agent call trip.plan '\"Atlantis\"'");
    mesh.serve(agents![forecast, museums, plan]).await
}
