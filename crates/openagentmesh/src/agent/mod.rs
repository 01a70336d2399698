//! What an agent is: its spec, its handler, and the contract that both make.

mod context;
mod handler;
mod produced;
mod spec;

use std::num::NonZeroUsize;
use std::sync::Arc;

use openagentmesh_protocol::{AgentName, Contract, ErrorCode, Shape};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::schema::{InputSchema, SchemaText};

pub use context::Context;
pub use handler::{
    Background, Fallible, Handler, Input, IntoEnd, IntoOutput, Plain, Publisher, Responder,
    ResultOutput, Streamer, Trigger, Watcher, WithContext,
};
pub use produced::{Items, produced};
pub use spec::AgentSpec;

pub(crate) use context::Inner as ContextInner;
pub(crate) use handler::{Chunks, DecodeError, Invocation, Many, Once, Run, Running};

/// An agent that can be registered: an [`AgentSpec`] and its handler.
///
/// Made by [`agents!`](crate::agents) from functions with `#[agent]`, or by
/// [`AgentSpec::handler`] from any function or closure.
#[derive(Clone)]
pub struct Agent {
    spec: AgentSpec,
    parts: handler::Parts,
}

impl Agent {
    fn new(spec: AgentSpec, parts: handler::Parts) -> Self {
        Self { spec, parts }
    }

    /// The agent's name as it was given; it is checked at registration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What the handler takes and gives.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.parts.shape
    }

    /// The contract that registration publishes, without the time of registration.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the name is not an agent name.
    ///
    /// ```
    /// use openagentmesh::AgentSpec;
    ///
    /// let agent = AgentSpec::new("double", "Doubles a number.")
    ///     .handler(|n: i64| async move { n * 2 });
    /// let contract = agent.contract()?;
    /// assert_eq!(contract.input_schema.unwrap()["type"], "integer");
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn contract(&self) -> Result<Contract> {
        Ok(Contract {
            name: AgentName::new(self.spec.name.as_str())?,
            description: self.spec.description.clone(),
            version: self.spec.version.clone(),
            tags: self.spec.tags.clone(),
            capabilities: self.parts.shape.capabilities(),
            input_schema: self.parts.input.as_deref().map(InputSchema::to_value),
            output_schema: self.parts.output.as_ref().map(SchemaText::to_value),
            chunk_schema: self.parts.chunk.as_ref().map(SchemaText::to_value),
            registered_at: None,
            mcp: None,
        })
    }

    /// Refuses an agent whose input could not be checked.
    pub(crate) fn check_input(&self) -> Result<()> {
        let Some(input) = &self.parts.input else {
            return Ok(());
        };
        input.check().map_err(|reason| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "the input schema of agent '{}' is invalid: {reason}",
                    self.spec.name
                ),
            )
        })
    }

    pub(crate) fn contract_registered_now(&self) -> Result<Contract> {
        let mut contract = self.contract()?;
        contract.registered_at = Some(timestamp(OffsetDateTime::now_utc()));
        Ok(contract)
    }

    pub(crate) fn concurrency(&self) -> NonZeroUsize {
        self.spec.concurrency
    }

    pub(crate) fn queue(&self) -> usize {
        self.spec.queue
    }

    pub(crate) fn run(&self) -> Run {
        self.parts.run.clone()
    }

    pub(crate) fn input(&self) -> Option<Arc<InputSchema>> {
        self.parts.input.clone()
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("name", &self.spec.name)
            .field("shape", &self.parts.shape)
            .finish_non_exhaustive()
    }
}

/// A time in UTC as the published SDKs write it.
fn timestamp(utc: OffsetDateTime) -> String {
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second, micro) = utc.to_hms_micro();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+00:00")
}

/// One agent is a list of one, so that it can be registered as it is.
impl IntoIterator for Agent {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

/// A function that `#[agent]` made an agent of. Named only by the macros.
#[doc(hidden)]
pub trait AgentFn {
    /// The agent.
    fn agent() -> Agent;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_published_sdks_do() {
        let second = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_050_000);
        assert_eq!(timestamp(second), "1970-01-01T00:00:01.050000+00:00");
    }
}
