//! The published Python SDKs as peers of a test.
//!
//! A [`Peer`] is a Python process with one of the published SDKs ([`Sdk`]) and its public API. The test
//! sends commands, one per line, and the process answers each; so a test awaits conditions instead of
//! sleeping. Each SDK version has its own virtual environment, created by the first test that needs it
//! ([`environment`]).
//!
//! A host in Rust runs in the process of its test, as a task:
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
//! [`schema`] compares the JSON Schemas of the two languages for one type.
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
    /// Writes the channel of an agent in a separate field.
    V0_1_5,
    /// Writes dotted names.
    V0_2_0,
}

impl Sdk {
    /// All versions under test.
    pub const ALL: [Self; 2] = [Self::V0_1_5, Self::V0_2_0];

    /// The version in the package index.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V0_1_5 => "0.1.5",
            Self::V0_2_0 => "0.2.0",
        }
    }

    /// Whether a name includes its channel, as in `nlp.summarizer`.
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

/// Defines one test per SDK for each `async fn(Sdk)`.
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
