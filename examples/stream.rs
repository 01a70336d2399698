//! A stream receives a reply chunk by chunk, while it is produced: `cargo run --example stream`.
//! The example serves its own agents, so that it runs alone. Look at the number of reads of the
//! endless meter: flow control keeps it close to the number of readings taken.

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
                yield Err(Error::new("broken_down", "the engine failed"));
            }
        }
    }
}

/// Reads a meter until the caller ends the stream.
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

/// Reports its number of reads when the stream is dropped.
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

    // All chunks at once, or the first error.
    let stops: Vec<String> = mesh.stream("trains.stops", 42).await?.try_collect().await?;
    println!("train 42: {}", stops.join(", "));

    // One by one. An error is the last item; the chunks before it are valid.
    let mut stops = mesh.stream::<String>("trains.stops", 13).await?;
    while let Some(stop) = stops.next().await {
        match stop {
            Ok(stop) => println!("train 13: {stop}"),
            Err(error) => println!("train 13: {} ({error})", error.code()),
        }
    }

    // An endless stream: at most eight chunks are in flight. Dropping the stream cancels the
    // handler.
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
