//! The number of replicas of new buckets.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use openagentmesh_protocol::ErrorCode;

use super::options::invalid;
use crate::error::{Error, Result};

/// Environment variable with the number of replicas of new buckets.
pub const REPLICAS_VARIABLE: &str = "OAM_REPLICAS";

/// The number of replicas in a cluster unless an option says otherwise: the data outlives the loss of one node.
pub(super) const CLUSTER_REPLICAS: usize = 3;

/// The largest number of replicas that JetStream allows.
pub(crate) const MAX_REPLICAS: usize = 5;

/// The replication of the buckets that a process creates.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    /// The number that the program or the environment asks for.
    pub(super) wanted: Option<usize>,
    /// The number that the cluster can hold, once a bucket with more was refused; 0 before.
    pub(super) limit: AtomicUsize,
    /// Whether the warning about fewer replicas is logged.
    pub(super) is_warned: AtomicBool,
}

impl Replication {
    /// The replication for `option`, or else for [`REPLICAS_VARIABLE`].
    ///
    /// # Errors
    ///
    /// `configuration` when the number is not one that JetStream allows.
    pub(crate) fn new(option: Option<usize>) -> Result<Self> {
        let variable = std::env::var(REPLICAS_VARIABLE).ok();
        Self::from_settings(option, variable.as_deref())
    }

    fn from_settings(option: Option<usize>, variable: Option<&str>) -> Result<Self> {
        let allowed = 1..=MAX_REPLICAS;
        let wanted = match (option, variable.filter(|text| !text.is_empty())) {
            (Some(replicas), _) if allowed.contains(&replicas) => Some(replicas),
            (Some(replicas), _) => return Err(out_of_range(replicas)),
            (None, Some(text)) => match text.trim().parse() {
                Ok(replicas) if allowed.contains(&replicas) => Some(replicas),
                _ => {
                    let message = format!(
                        "invalid {REPLICAS_VARIABLE} '{text}': expected a number from 1 to {MAX_REPLICAS}; \
                         change the variable or unset it"
                    );
                    return Err(Error::raised(ErrorCode::Configuration, message));
                }
            },
            (None, None) => None,
        };
        Ok(Self {
            wanted,
            ..Self::default()
        })
    }
}

/// Whether the server is one of a cluster.
#[derive(Clone, Copy)]
pub(super) struct Clustered {
    pub(super) is_clustered: bool,
    /// The incarnation of the connection to the server.
    pub(super) incarnation: (u64, u64),
}

/// The error of a number of replicas that JetStream does not allow.
pub(crate) fn out_of_range(replicas: usize) -> Error {
    let remedy = format!("give a number from 1 to {MAX_REPLICAS}");
    invalid("replicas", format!("{replicas} is out of range"), &remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_goes_before_the_variable_and_both_are_checked() {
        let wanted = |option, variable| {
            Replication::from_settings(option, variable).map(|replication| replication.wanted)
        };
        assert_eq!(wanted(None, None).unwrap(), None);
        assert_eq!(wanted(None, Some("")).unwrap(), None);
        assert_eq!(wanted(Some(5), Some("1")).unwrap(), Some(5));
        assert_eq!(wanted(None, Some(" 1 ")).unwrap(), Some(1));
        for (option, variable) in [(Some(0), None), (Some(6), None), (None, Some("many"))] {
            let error = wanted(option, variable).unwrap_err();
            assert_eq!(error.code(), &ErrorCode::Configuration, "{error}");
        }
    }
}
