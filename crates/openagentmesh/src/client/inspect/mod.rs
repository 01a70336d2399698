//! `inspect`: the state of the mesh, for operators.

mod findings;
mod inspection;

pub use findings::{Finding, Severity};
pub use inspection::{CatalogStatus, Inspection, ServerStatus};
