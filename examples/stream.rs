//! A stream takes an answer chunk by chunk, while it is made: `cargo run --example stream`. It
//! serves what it streams from, so that it runs alone. Look at how often the meter is read:
//! hardly more often than its readings are taken, although it has no end.

use async_stream::stream;
use futures::{Stream, StreamExt, TryStreamExt};
use openagentmesh::{AgentMesh, Error, Result, agent, agents};

/// Streams the stops of a train.
#[agent(channel = "trains")]
fn stops(train: u32) -> impl Stream<Item = Result<String>> {
    stream! {
        for stop in ["Stockholm", "Norrköping", "Linköping", "Malmö"] {
            yield Ok(stop.to_owned());
            if train == 13 && stop == "Norrköping" {
                yield Err(Error::new("broken_down", "the engine gave up"));
            }
        }
    }
}

/// Reads a meter, for as long as anybody wants to know.
#[agent(channel = "meters")]
fn readings(start: u64) -> impl Stream<Item = u64> {
    stream! {
        let mut meter = Meter { reads: 0 };
        for reading in start.. {
            meter.reads += 1;
            yield reading;
        }
    }
}

/// Something that is given back when nobody needs it any more.
struct Meter {
    reads: u32,
}

impl Drop for Meter {
    fn drop(&mut self) {
        println!("the meter was read {} times", self.reads);
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![stops, readings]).await?;

    // Everything at once, if it all arrives.
    let stops: Vec<String> = mesh.stream("trains.stops", 42).await?.try_collect().await?;
    println!("train 42: {}", stops.join(", "));

    // One after another. An error is the last item: what came before it is good.
    let mut stops = mesh.stream::<String>("trains.stops", 13).await?;
    while let Some(stop) = stops.next().await {
        match stop {
            Ok(stop) => println!("train 13: {stop}"),
            Err(error) => println!("train 13: {} ({error})", error.code()),
        }
    }

    // Without an end: at most eight readings are on their way, and when this is dropped, so is the
    // stream at its source.
    let readings = mesh
        .stream::<u64>("meters.readings", 7_000)
        .window(8)
        .await?;
    let sum = readings
        .take(100)
        .try_fold(0, |sum, reading| async move { Ok(sum + reading) })
        .await?;
    println!("the mean of 100 readings is {}", sum / 100);
    mesh.shutdown().await
}
