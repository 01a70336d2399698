//! The JetStream buckets of a mesh.

/// Key-value bucket of the catalog: one key, [`CATALOG_KEY`], holding the whole array.
pub const CATALOG: &str = "mesh-catalog";

/// The only key of [`CATALOG`].
pub const CATALOG_KEY: &str = "catalog";

/// Key-value bucket of the contracts, one key per agent: its full name.
pub const REGISTRY: &str = "mesh-registry";

/// Key-value bucket that agents share.
pub const CONTEXT: &str = "mesh-context";

/// Object-store bucket of the shared workspace.
pub const ARTIFACTS: &str = "mesh-artifacts";

/// Key-value bucket of the live hosts, one key per instance id.
pub const INSTANCES: &str = "mesh-instances";

/// Key-value bucket of the log levels, keyed by agent name or `global`.
pub const OBSERVABILITY: &str = "mesh-observability";
