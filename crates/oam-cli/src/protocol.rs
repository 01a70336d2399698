//! The version of the protocol.

/// The version of the published Python SDK whose protocol this program speaks.
pub(crate) const PROTOCOL_VERSION: &str = "0.2.0";
