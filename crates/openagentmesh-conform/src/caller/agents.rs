//! The agents that the kit serves to callers.

use bytes::Bytes;
use openagentmesh_protocol::{AgentName, Capabilities, Contract, Shape, bucket};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::store::Bucket;
use crate::wire::Mesh;

/// The number of attempts to write the catalog against other writers.
const MAX_ATTEMPTS: usize = 50;

/// The code of the errors of the kit's agents, which no SDK knows.
pub(super) const FAILED: &str = "conform_failed";

/// An agent of the kit.
pub(super) struct KitAgent {
    pub(super) id: &'static str,
    pub(super) behaviour: Behaviour,
    /// The step of the instructions that is done with it.
    pub(super) step: Option<&'static str>,
}

/// The answer of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Echo,
    Fail,
    /// As `Fail`, with header names in lower case.
    Lower,
    /// Answers after some time, with probes until then.
    Slow,
    /// Answers with probes only.
    Never,
    Note,
    Report,
    /// Streams numbers.
    Count,
    /// As `Count`, without one of the numbers.
    Gap,
    /// Streams some numbers and fails.
    Stumble,
    Endless,
    Ticks,
    /// Listed and not served.
    Absent,
}

macro_rules! agents {
    ($($id:literal $behaviour:ident $step:expr;)+) => {
        pub(super) const AGENTS: &[KitAgent] = &[
            $(KitAgent { id: $id, behaviour: Behaviour::$behaviour, step: $step }),+
        ];
    };
}

agents! {
    "conform.echo" Echo Some("echo");
    "conform.fail" Fail Some("fail");
    "conform.lower" Lower Some("lower");
    "conform.absent" Absent Some("absent");
    "conform.slow" Slow Some("slow");
    "conform.count" Count Some("count");
    "conform.gap" Gap Some("gap");
    "conform.stumble" Stumble Some("stumble");
    "conform.ticks" Ticks Some("ticks");
    "conform.endless" Endless Some("endless");
    "conform.never" Never Some("never");
    "conform.note" Note Some("note");
    "conform.report" Report None;
}

impl Behaviour {
    pub(super) fn shape(self) -> Shape {
        match self {
            Self::Count | Self::Gap | Self::Stumble | Self::Endless => Shape::Streamer,
            Self::Ticks => Shape::Publisher,
            _ => Shape::Responder,
        }
    }

    /// The schema of the input; `None` without one.
    pub(super) fn input_schema(self) -> Option<Value> {
        match self {
            Self::Ticks => None,
            Self::Report => Some(json!({
                "type": "object",
                "properties": {"step": {"type": "string"}, "seen": {}},
                "required": ["step", "seen"],
            })),
            _ if self.shape() == Shape::Streamer => Some(json!({
                "type": "object",
                "properties": {"to": {"type": "integer", "minimum": 0}},
                "required": ["to"],
            })),
            _ => Some(json!({
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
            })),
        }
    }
}

impl KitAgent {
    pub(super) fn name(&self) -> AgentName {
        // A test parses all of them.
        AgentName::new(self.id).unwrap_or_else(|_| unreachable!("the names of the kit are valid"))
    }

    pub(super) fn is_served(&self) -> bool {
        !matches!(self.behaviour, Behaviour::Ticks | Behaviour::Absent)
    }

    fn contract(&self) -> Contract {
        let capabilities: Capabilities = self.behaviour.shape().capabilities();
        let output = |is_stream| (capabilities.streaming == is_stream).then(|| json!({}));
        Contract {
            name: self.name(),
            description: format!(
                "An agent of the conformance kit for the step {}.",
                self.step.unwrap_or("report")
            ),
            version: "1.0.0".to_owned(),
            tags: vec!["conform".to_owned()],
            capabilities,
            input_schema: self.behaviour.input_schema(),
            output_schema: output(false),
            chunk_schema: output(true),
            registered_at: OffsetDateTime::now_utc().format(&Rfc3339).ok(),
            mcp: Some(false),
            idempotent: false,
        }
    }
}

/// Writes the contracts and the catalog entries.
pub(super) async fn register(mesh: &Mesh) -> Result<(), Error> {
    let registry = open(mesh, bucket::REGISTRY).await?;
    for agent in AGENTS {
        registry
            .put(agent.id, json!(agent.contract()).to_string().into())
            .await?;
    }
    change_catalog(mesh, |entries| {
        without_own(entries);
        entries.extend(
            AGENTS
                .iter()
                .map(|agent| json!(agent.contract().to_catalog_entry())),
        );
    })
    .await
}

/// Removes the catalog entries and the contracts.
pub(super) async fn deregister(mesh: &Mesh) -> Result<(), Error> {
    change_catalog(mesh, without_own).await?;
    let registry = open(mesh, bucket::REGISTRY).await?;
    for agent in AGENTS {
        registry.delete(agent.id).await?;
    }
    Ok(())
}

fn without_own(entries: &mut Vec<Value>) {
    entries.retain(|entry| AGENTS.iter().all(|agent| entry["name"] != agent.id));
}

async fn open(mesh: &Mesh, name: &'static str) -> Result<Bucket, Error> {
    let bucket = Bucket::open(mesh, name).await?;
    bucket.ok_or_else(|| Error::Storage {
        bucket: name,
        cause: "bucket not found".to_owned(),
    })
}

async fn change_catalog(mesh: &Mesh, change: impl Fn(&mut Vec<Value>)) -> Result<(), Error> {
    let bucket = open(mesh, bucket::CATALOG).await?;
    let failed = |cause: &str| Error::Storage {
        bucket: bucket::CATALOG,
        cause: cause.to_owned(),
    };
    for _ in 0..MAX_ATTEMPTS {
        let stored = bucket.get(bucket::CATALOG_KEY).await?;
        let revision = stored.as_ref().map_or(0, |stored| stored.revision);
        let text = stored.map_or(Bytes::from_static(b"[]"), |stored| stored.value);
        let entries = serde_json::from_slice::<Vec<Value>>(&text);
        let mut entries = entries
            .map_err(|_| failed("the catalog is malformed; `oam mesh repair` repairs it"))?;
        change(&mut entries);
        let text = Value::Array(entries).to_string();
        if bucket
            .swap(bucket::CATALOG_KEY, text.into(), revision)
            .await?
        {
            return Ok(());
        }
    }
    Err(failed("other writers were faster in all attempts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_kit_are_valid() {
        for agent in AGENTS {
            assert_eq!(agent.name().channel(), Some("conform"));
        }
    }
}
