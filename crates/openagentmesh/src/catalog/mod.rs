//! The agents of the mesh: the catalog, the registry of contracts, and this process's copy of the catalog.

mod addition;
mod cache;
mod changes;
mod contract;
mod contracts;
mod directory;
mod follow;
mod follower;
mod heard;
mod listed_by_monitor;
mod problem;
mod registration;
mod registry;
mod shared;
mod similar;
mod snapshot;
mod state;
mod stored;
mod writer;

pub use changes::{CatalogChange, CatalogChanges};
pub use contract::Contract;

pub(crate) use contracts::Progress;
pub(crate) use directory::Directory;
pub(crate) use follower::Follower;
pub(crate) use registration::Registration;
pub(crate) use similar::similar;
pub(crate) use snapshot::CatalogSnapshot;
pub(crate) use state::CacheState;
pub(crate) use stored::BucketState;
