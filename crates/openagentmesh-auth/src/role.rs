//! Roles of users.

use std::fmt;
use std::str::FromStr;

use crate::AuthError;

/// The purpose of a user. The role and the [`Grants`](crate::Grants) decide which subjects it may use.
///
/// ```
/// use openagentmesh_auth::Role;
///
/// assert_eq!("worker".parse::<Role>()?, Role::Worker);
/// assert_eq!(Role::WorkerPython.to_string(), "worker-python");
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Looks at the mesh: catalog, contracts, processes, logs, events, errors. Calls no agent.
    Observer,
    /// Calls agents.
    Invoker,
    /// Serves agents.
    Worker,
    /// Serves agents with an SDK of Python or TypeScript, which writes the catalog itself and shares its inbox.
    WorkerPython,
    /// Keeps the catalog: lists what workers have registered, and removes what dead processes leave.
    Monitor,
    /// Everything, administration of the storage included.
    Operator,
}

impl Role {
    /// All roles, from the narrowest to the widest.
    pub const ALL: [Self; 6] = [
        Self::Observer,
        Self::Invoker,
        Self::Worker,
        Self::WorkerPython,
        Self::Monitor,
        Self::Operator,
    ];

    /// The name of the role.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Invoker => "invoker",
            Self::Worker => "worker",
            Self::WorkerPython => "worker-python",
            Self::Monitor => "monitor",
            Self::Operator => "operator",
        }
    }

    /// The purpose of the role, in a few words.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Observer => {
                "reads catalog, contracts, processes, logs, events and errors; calls no agent"
            }
            Self::Invoker => "calls the agents of --agent, or all",
            Self::Worker => "serves the agents of --agent; calls those of --may-call",
            Self::WorkerPython => {
                "a worker with the Python or TypeScript SDK; wider: it writes the catalog and shares its inbox"
            }
            Self::Monitor => {
                "keeps the catalog for all workers and removes what dead processes leave"
            }
            Self::Operator => "everything, administration of the storage included",
        }
    }

    /// Whether the role serves agents.
    #[must_use]
    pub const fn is_worker(self) -> bool {
        matches!(self, Self::Worker | Self::WorkerPython)
    }
}

impl FromStr for Role {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| AuthError::Invalid {
            what: "role",
            value: text.to_owned(),
            allowed: "observer, invoker, worker, worker-python, monitor and operator are allowed",
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
