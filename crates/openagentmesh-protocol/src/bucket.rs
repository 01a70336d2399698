//! The JetStream buckets of a mesh: six that every SDK knows, and the leases.

/// Key-value bucket of the catalog: the key [`CATALOG_KEY`] holds the whole document.
pub const CATALOG: &str = "mesh-catalog";

/// The only key of [`CATALOG`].
pub const CATALOG_KEY: &str = "catalog";

/// Key-value bucket of the contracts, keyed by the agent's full name.
pub const REGISTRY: &str = "mesh-registry";

/// Key-value bucket of the values that agents share.
pub const CONTEXT: &str = "mesh-context";

/// Object-store bucket of the shared workspace.
pub const ARTIFACTS: &str = "mesh-artifacts";

/// Key-value bucket of the live hosts, keyed by instance id.
pub const INSTANCES: &str = "mesh-instances";

/// Key-value bucket of the log levels, keyed by the agent's full name or `global`.
pub const OBSERVABILITY: &str = "mesh-observability";

/// Key-value bucket of the leases of exclusive roles. Only Rust processes use this bucket.
pub const LEASES: &str = "mesh-leases";

/// The key of [`LEASES`] that the active monitor holds.
pub const MONITOR_KEY: &str = "monitor";
