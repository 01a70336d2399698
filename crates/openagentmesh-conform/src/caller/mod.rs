//! Checks a caller.

/// The instructions.
pub const INSTRUCTIONS: &str = "";
/// A check.
pub struct CallerCheck;
