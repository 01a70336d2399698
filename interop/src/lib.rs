//! The published Python SDKs as peers of a test.
//!
//! A [`Peer`] is a Python process that uses one of the published SDKs ([`Sdk`]) as its authors
//! meant it to be used. The test tells it what to do, line by line, and it answers; so a test
//! awaits what it needs instead of waiting for a time. Each SDK version lives in a virtual
//! environment of its own, which the first test that needs it makes ([`environment`]).
//!
//! A host in Rust runs in the same process as its test, as a task of its own:
//!
//! ```
//! use openagentmesh::{Agent, AgentMesh, Result};
//!
//! fn host(mesh: AgentMesh, agents: Vec<Agent>) -> tokio::task::JoinHandle<Result<()>> {
//!     tokio::spawn(async move {
//!         mesh.register(agents).await?;
//!         mesh.shutdown().await
//!     })
//! }
//! ```
//!
//! [`schema`] compares the JSON Schemas that the two languages write for one type.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod environment;
mod peer;
pub mod python;
pub mod schema;

pub use peer::{Peer, PeerError, Raised};

/// A published version of the Python SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sdk {
    /// Writes an agent's channel apart from its name.
    V0_1_5,
    /// Writes dotted names.
    V0_2_0,
}

impl Sdk {
    /// All that the tests run against.
    pub const ALL: [Self; 2] = [Self::V0_1_5, Self::V0_2_0];

    /// The version as the package index has it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V0_1_5 => "0.1.5",
            Self::V0_2_0 => "0.2.0",
        }
    }

    /// Whether a name carries its channel, as in `nlp.summarizer`.
    #[must_use]
    pub fn has_dotted_names(self) -> bool {
        self != Self::V0_1_5
    }
}

impl std::fmt::Display for Sdk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "openagentmesh {}", self.version())
    }
}

/// Makes one test per SDK of each `async fn(Sdk)`.
#[macro_export]
macro_rules! with_each_sdk {
    ($($test:ident),+ $(,)?) => {
        mod python_0_1_5 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::Sdk::V0_1_5).await;
            })+
        }
        mod python_0_2_0 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::Sdk::V0_2_0).await;
            })+
        }
    };
}
