//! This SDK, with its public API.

mod agents;
mod caller;

pub(super) use agents::agents;
pub(super) use caller::Caller;

use openagentmesh::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};

use crate::measure::BodySize;

/// The agent that streams bodies of `size`.
pub(in crate::roles) const fn chunks_agent(size: BodySize) -> &'static str {
    match size {
        BodySize::Small => "bench.small-chunks",
        BodySize::Standard => "bench.chunks",
        BodySize::Medium => "bench.medium-chunks",
        BodySize::Large => "bench.large-chunks",
    }
}

/// An input whose schema has types only.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Order {
    article: String,
    quantity: u32,
    note: String,
}

/// An input whose schema has ranges and lengths.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct LimitedOrder {
    #[schemars(length(min = 1, max = 40))]
    article: String,
    #[schemars(range(min = 1, max = 1000))]
    quantity: u32,
    #[schemars(length(max = 200))]
    note: String,
}
