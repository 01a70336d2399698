//! The conformance kit of OpenAgentMesh: checks an implementation of the wire protocol by its messages.
//!
//! A [`HostCheck`] sends requests to the host of an agent and judges the answers. A [`CallerCheck`] serves known agents
//! and judges the requests of a caller. Both return a [`Report`] with one [`Outcome`] for each of the [`rules`] of the
//! role. The judge is not the SDK: the kit uses a plain NATS client, and the crate `openagentmesh-protocol` for names and
//! subjects.
//!
//! ```no_run
//! use openagentmesh_conform::{HostCheck, Mesh};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mesh = Mesh::connect("nats://127.0.0.1:4222", None).await?;
//! let report = HostCheck::new("echo".parse()?).run(&mesh).await?;
//! for judged in report.judged() {
//!     println!("{} {}", judged.outcome.as_str(), judged.rule.title);
//! }
//! assert!(report.is_success());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod caller;
mod error;
mod expected;
mod host;
mod report;
mod rule;
mod rules;
mod schema;
mod settings;
mod store;
mod verdicts;
mod wire;

pub use caller::{CallerCheck, INSTRUCTIONS};
pub use error::Error;
pub use expected::{Expected, InvalidExpected, Surprise};
pub use host::HostCheck;
pub use report::{Counts, Judged, Outcome, Report, Summary};
pub use rule::{Requirement, Role, Rule};
pub use rules::rules;
pub use settings::Settings;
pub use wire::Mesh;

/// The name of an agent.
pub use openagentmesh_protocol::AgentName;
