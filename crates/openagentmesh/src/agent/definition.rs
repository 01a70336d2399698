//! An agent: a spec and a handler, and the contract of both.

use std::num::NonZeroUsize;
use std::sync::Arc;

use openagentmesh_protocol::{AgentName, Contract, ErrorCode, Shape};
use time::OffsetDateTime;

use super::erased::{ErasedHandler, HandlerFn};
use super::spec::AgentSpec;
use crate::error::{Error, Result};
use crate::schema::{InputSchema, SchemaText};

/// An agent that can be registered: an [`AgentSpec`] and its handler.
///
/// Made by [`agents!`](crate::agents) from functions with `#[agent]`, or by
/// [`AgentSpec::handler`] from any function or closure.
#[derive(Clone)]
pub struct Agent {
    spec: AgentSpec,
    handler: ErasedHandler,
}

impl Agent {
    pub(super) fn new(spec: AgentSpec, handler: ErasedHandler) -> Self {
        Self { spec, handler }
    }

    /// The agent's name as it was given; it is checked at registration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The shape of the handler.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.handler.shape
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
            capabilities: self.handler.shape.capabilities(),
            input_schema: self.handler.input.as_deref().map(InputSchema::to_value),
            output_schema: self.handler.output.as_ref().map(SchemaText::to_value),
            chunk_schema: self.handler.chunk.as_ref().map(SchemaText::to_value),
            registered_at: None,
            mcp: None,
        })
    }

    /// Checks the schemas before registration.
    ///
    /// # Errors
    ///
    /// `invalid_input` when a schema of a [`RawHandler`](crate::RawHandler) is invalid or does not fit
    /// its shape, or when inputs cannot be checked against the input schema.
    pub(crate) fn check_input(&self) -> Result<()> {
        let name = &self.spec.name;
        let invalid = |message| Err(Error::raised(ErrorCode::InvalidInput, message));
        if let Some(defect) = &self.handler.defect {
            return invalid(format!("invalid agent '{name}': {defect}"));
        }
        match self.handler.input.as_deref().map(InputSchema::check) {
            Some(Err(reason)) => {
                invalid(format!("invalid input schema of agent '{name}': {reason}"))
            }
            _ => Ok(()),
        }
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

    pub(crate) fn function(&self) -> HandlerFn {
        self.handler.function.clone()
    }

    pub(crate) fn input(&self) -> Option<Arc<InputSchema>> {
        self.handler.input.clone()
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("name", &self.spec.name)
            .field("shape", &self.handler.shape)
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

/// A list of one agent, so that a single agent can be registered.
impl IntoIterator for Agent {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_equals_that_of_the_published_sdks() {
        let second = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_050_000);
        assert_eq!(timestamp(second), "1970-01-01T00:00:01.050000+00:00");
    }
}
