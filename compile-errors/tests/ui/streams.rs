use futures::Stream;
use openagentmesh::{Context, agent};

/// Is async and returns a stream.
#[agent]
async fn both(to: u32) -> impl Stream<Item = u32> {
    futures::stream::iter(0..to)
}

/// Is neither async nor returns a stream.
#[agent]
fn neither(to: u32) -> Vec<u32> {
    (0..to).collect()
}

/// Takes the context last.
#[agent]
fn last(to: u32, ctx: Context) -> impl Stream<Item = u32> {
    drop(ctx);
    futures::stream::iter(0..to)
}

/// Takes too many inputs.
#[agent]
async fn too_much(ctx: Context, left: u32, right: &str) -> u32 {
    drop((ctx, right));
    left
}

fn main() {}
