//! The directory that keeps the JetStream data of a mesh from one start to the next.

mod directory;
mod kept;
mod lock;
mod marker;
mod memory;

pub(crate) use directory::DataDirectory;
pub use kept::KeptData;
pub(crate) use lock::wait_until_free;
