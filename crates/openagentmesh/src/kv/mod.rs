//! Values under keys, shared by all processes of the mesh.

mod entry;
mod history;
mod key;
mod modify;
mod store;
mod value;
mod watch;

pub use entry::{KvChange, KvEntry};
pub use history::KvRevision;
pub use store::Kv;
pub use value::{Json, KvValue};
pub use watch::{KvChanges, KvWatch};
