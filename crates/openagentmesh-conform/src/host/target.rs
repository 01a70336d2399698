//! The catalog entry and the contract of the agent.

use openagentmesh_protocol::{AgentName, Capabilities, bucket, subject};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::rules::catalog as rules;
use crate::store::Bucket;
use crate::verdicts::Verdicts;
use crate::wire::Mesh;

/// The catalog entry and the contract of the agent, as the mesh has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    pub(crate) entry: Option<Value>,
    pub(crate) contract: Option<Value>,
}

impl Target {
    /// Reads the catalog and the registry.
    pub(crate) async fn read(mesh: &Mesh, name: &AgentName) -> Result<Self, Error> {
        let mut target = Self::default();
        if let Some(bucket) = Bucket::open(mesh, bucket::CATALOG).await?
            && let Some(catalog) = bucket.get(bucket::CATALOG_KEY).await?
        {
            target.entry = entry_of(&catalog.value, name);
        }
        if let Some(bucket) = Bucket::open(mesh, bucket::REGISTRY).await?
            && let Some(contract) = bucket.get(name.as_str()).await?
        {
            target.contract = serde_json::from_slice(&contract.value).ok();
        }
        Ok(target)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entry.is_none() && self.contract.is_none()
    }

    /// The capabilities by the entry, else by the contract.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let flags = |source: &Value| Capabilities {
            streaming: source["streaming"].as_bool().unwrap_or(false),
            invocable: source["invocable"].as_bool().unwrap_or(true),
        };
        let contract = self
            .contract
            .as_ref()
            .map(|contract| flags(&contract["capabilities"]));
        let entry = self.entry.as_ref().map(flags);
        contract.or(entry).unwrap_or_default()
    }

    pub(crate) fn input_schema(&self) -> Option<&Value> {
        self.contract
            .as_ref()?
            .pointer("/skills/0/inputSchema")
            .filter(|schema| !schema.is_null())
    }

    pub(crate) fn output_schema(&self) -> Option<&Value> {
        self.contract
            .as_ref()?
            .pointer("/skills/0/outputSchema")
            .filter(|schema| !schema.is_null())
    }

    pub(crate) fn chunk_schema(&self) -> Option<&Value> {
        self.contract
            .as_ref()?
            .pointer("/x-agentmesh/chunk_schema")
            .filter(|schema| !schema.is_null())
    }

    /// Judges the entry and the contract.
    pub(crate) fn judge(&self, name: &AgentName, verdicts: &Verdicts) {
        self.judge_entry(name, verdicts);
        self.judge_contract(name, verdicts);
        if let (Some(entry), Some(contract)) = (&self.entry, &self.contract) {
            verdicts.judge(rules::CONTRACT_AGREES, agrees(entry, contract));
        }
    }

    fn judge_entry(&self, name: &AgentName, verdicts: &Verdicts) {
        let missing = format!("agent not listed: the catalog has no entry '{name}'");
        verdicts.require(rules::ENTRY, self.entry.is_some(), missing);
        let Some(entry) = &self.entry else { return };
        verdicts.judge(rules::ENTRY_NAME, full_name(entry, &entry["channel"], name));
        let fields = texts(entry, &["name", "description", "version"]);
        let fields = fields.and_then(|()| tags(&entry["tags"]));
        verdicts.judge(rules::ENTRY_FIELDS, fields.and_then(|()| flags(entry)));
    }

    fn judge_contract(&self, name: &AgentName, verdicts: &Verdicts) {
        let missing =
            format!("contract not found: the registry has no key '{name}', or no JSON there");
        verdicts.require(rules::CONTRACT, self.contract.is_some(), missing);
        let Some(contract) = &self.contract else {
            return;
        };
        let (extension, skill) = (&contract["x-agentmesh"], &contract["skills"][0]);
        verdicts.judge(
            rules::CONTRACT_NAME,
            full_name(contract, &extension["channel"], name),
        );
        let fields = texts(contract, &["name", "description", "version"])
            .and_then(|()| flags(&contract["capabilities"]))
            .and_then(|()| {
                texts(skill, &["id", "name", "description"])
                    .map_err(|error| format!("skill: {error}"))
            })
            .and_then(|()| tags(&skill["tags"]))
            .and_then(|()| tags(&extension["tags"]));
        verdicts.judge(rules::CONTRACT_FIELDS, fields);
        let expected = subject::agent(name);
        let is_subject = extension["subject"] == expected.as_str();
        let wrong = format!(
            "wrong subject: expected '{expected}', got {}",
            extension["subject"]
        );
        verdicts.require(rules::CONTRACT_SUBJECT, is_subject, wrong);
        let time = extension["registered_at"].as_str().unwrap_or_default();
        let is_time = OffsetDateTime::parse(time, &Rfc3339).is_ok();
        verdicts.require(
            rules::CONTRACT_TIME,
            is_time,
            format!("invalid time: '{time}' is not RFC 3339"),
        );
        verdicts.judge(rules::SCHEMAS, self.schemas());
    }

    fn schemas(&self) -> Result<(), String> {
        let Capabilities {
            streaming,
            invocable,
        } = self.capabilities();
        let all = [
            ("inputSchema", self.input_schema()),
            ("outputSchema", self.output_schema()),
            ("chunk_schema", self.chunk_schema()),
        ];
        if let Some((name, _)) = all.iter().find(|(_, schema)| {
            schema.is_some_and(|schema| !schema.is_object() && !schema.is_boolean())
        }) {
            return Err(format!(
                "invalid {name}: a schema is an object or a boolean"
            ));
        }
        let unexpected =
            |name: &str| Err(format!("unexpected {name}: the capabilities exclude it"));
        match () {
            () if !invocable && self.input_schema().is_some() => unexpected("inputSchema"),
            () if (streaming || !invocable) && self.output_schema().is_some() => {
                unexpected("outputSchema")
            }
            () if !streaming && self.chunk_schema().is_some() => unexpected("chunk_schema"),
            () if streaming && self.chunk_schema().is_none() => {
                Err("missing chunk_schema: the agent streams".to_owned())
            }
            () => Ok(()),
        }
    }
}

/// The entry of the agent in the text of a catalog, in either spelling of its name.
pub(crate) fn entry_of(catalog: &[u8], name: &AgentName) -> Option<Value> {
    let catalog: Vec<Value> = serde_json::from_slice(catalog).ok()?;
    catalog
        .into_iter()
        .find(|entry| spelled(entry, &entry["channel"]).as_deref() == Some(name.as_str()))
}

/// The full name, of which the channel may be apart.
fn spelled(document: &Value, channel: &Value) -> Option<String> {
    let name = document["name"].as_str()?;
    Some(match channel.as_str() {
        None | Some("") => name.to_owned(),
        Some(channel) => format!("{channel}.{name}"),
    })
}

fn full_name(document: &Value, channel: &Value, name: &AgentName) -> Result<(), String> {
    match document["name"].as_str() {
        _ if channel.as_str().is_some_and(|channel| !channel.is_empty()) => Err(format!(
            "wrong name: the channel {channel} is a field of its own"
        )),
        Some(found) if found == name.as_str() => Ok(()),
        _ => Err(format!(
            "wrong name: expected '{name}', got {}",
            document["name"]
        )),
    }
}

fn texts(document: &Value, fields: &[&str]) -> Result<(), String> {
    match fields.iter().find(|field| !document[**field].is_string()) {
        Some(field) => Err(format!(
            "invalid field '{field}': expected a text, got {}",
            document[*field]
        )),
        None => Ok(()),
    }
}

fn tags(tags: &Value) -> Result<(), String> {
    let is_list = tags
        .as_array()
        .is_some_and(|tags| tags.iter().all(Value::is_string));
    if is_list {
        Ok(())
    } else {
        Err(format!(
            "invalid field 'tags': expected a list of texts, got {tags}"
        ))
    }
}

fn flags(document: &Value) -> Result<(), String> {
    match ["invocable", "streaming"]
        .into_iter()
        .find(|field| !document[*field].is_boolean())
    {
        Some(field) => Err(format!(
            "invalid field '{field}': expected true or false, got {}",
            document[field]
        )),
        None => Ok(()),
    }
}

fn agrees(entry: &Value, contract: &Value) -> Result<(), String> {
    let same = [
        (
            "description",
            &entry["description"],
            &contract["description"],
        ),
        ("version", &entry["version"], &contract["version"]),
        ("tags", &entry["tags"], &contract["x-agentmesh"]["tags"]),
        (
            "invocable",
            &entry["invocable"],
            &contract["capabilities"]["invocable"],
        ),
        (
            "streaming",
            &entry["streaming"],
            &contract["capabilities"]["streaming"],
        ),
    ];
    match same
        .into_iter()
        .find(|(_, entry, contract)| !entry.is_null() && !contract.is_null() && entry != contract)
    {
        Some((field, entry, contract)) => Err(format!(
            "different '{field}': {entry} in the catalog, {contract} in the contract"
        )),
        None => Ok(()),
    }
}
