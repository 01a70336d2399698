//! What the SDK reports about its work.

pub(crate) mod trace;
