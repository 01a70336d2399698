//! The catalog: a summary of every agent of the mesh.

mod changed;
mod document;
mod element;
mod entry;
mod filter;
mod index;
mod merge;

pub use changed::{CHANGED_HEADER, MAX_CHANGED_BYTES, changed_names};
pub use document::CatalogDocument;
pub use entry::CatalogEntry;
pub(crate) use entry::{default_version, full_name, null_is_default_version};
pub use filter::CatalogFilter;
