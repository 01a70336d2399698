//! The catalog: a summary of every agent of the mesh.

mod document;
mod entry;
mod filter;

pub use document::CatalogDocument;
pub use entry::CatalogEntry;
pub(crate) use entry::{default_version, full_name};
pub use filter::CatalogFilter;
