//! No code. The dependencies of this crate have the features that the whole workspace needs.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
