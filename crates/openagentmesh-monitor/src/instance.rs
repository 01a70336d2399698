//! One process of the mesh.

use openagentmesh_protocol::{InstanceId, InstanceRecord};

/// An instance and its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The key of the record.
    pub id: InstanceId,
    /// The record.
    pub record: InstanceRecord,
    /// The revision of the record.
    pub revision: u64,
}
