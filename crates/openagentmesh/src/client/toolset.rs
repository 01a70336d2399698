//! A set of agents as tools: their forms for a language model, and the calls that the model makes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::tool::{self, OpenAiApi, Tool, ToolError, ToolSchema};
use openagentmesh_protocol::{AgentName, Verb};
use serde_json::Value;
use serde_json::value::RawValue;

use super::handle::Client;
use crate::catalog::Contract;
use crate::error::{Error, Result};

/// The time that a stream may take if no timeout is given.
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);

/// Limit of the chunks that are collected of a stream.
const MAX_STREAM_CHUNKS: usize = 10_000;

/// Limit of the names that the error for an unknown tool lists.
const MAX_NAMES_SHOWN: usize = 50;

/// The limits of the calls of a toolset.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) timeout: Option<Duration>,
    pub(super) stream_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: None,
            stream_bytes: 1024 * 1024,
        }
    }
}

/// Agents as tools for a language model; made by awaiting [`Client::tools`].
///
/// The toolset is a snapshot of the contracts: later changes of the catalog are not in it. Tools are in the
/// order of the names of their agents, and each has a [unique name](tool::unique_names) within the limits of
/// all providers. Cloning a toolset is cheap.
///
/// OpenAI's Chat Completions take at most 128 tools in one request; select fewer by the filters of
/// [`ToolsQuery`](crate::ToolsQuery).
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// let tools = mesh.tools().tag("text").await?;
/// for (name, agent) in tools.names() {
///     println!("{name} calls {agent}");
/// }
/// let result = tools.call("text_count", r#"{"text": ""}"#).await;
/// assert!(result.is_error()); // its text says that the text is too short
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Toolset {
    client: Client,
    limits: Limits,
    tools: Arc<[Member]>,
    skipped: Arc<[(AgentName, ToolError)]>,
}

struct Member {
    contract: Contract,
    tool: Tool,
}

impl Toolset {
    pub(super) fn new(client: Client, mut contracts: Vec<Contract>, limits: Limits) -> Self {
        contracts.sort_by(|one, other| one.name.cmp(&other.name));
        let names = tool::unique_names(contracts.iter().map(|contract| &contract.name));
        let (mut tools, mut skipped) = (Vec::new(), Vec::new());
        for (contract, name) in contracts.into_iter().zip(names) {
            match contract.tool_named(name) {
                Ok(tool) => tools.push(Member { contract, tool }),
                Err(error) => skipped.push((contract.name.clone(), error)),
            }
        }
        Self {
            client,
            limits,
            tools: tools.into(),
            skipped: skipped.into(),
        }
    }

    /// The number of tools.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there are no tools.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The names of the tools, each with the name of its agent.
    pub fn names(&self) -> impl Iterator<Item = (&str, &AgentName)> {
        let members = self.tools.iter();
        members.map(|member| (member.tool.name(), &member.contract.name))
    }

    /// The contract of the agent that the tool `name` calls.
    #[must_use]
    pub fn contract(&self, name: &str) -> Option<&Contract> {
        self.member(name).map(|member| &member.contract)
    }

    /// The agents that match and cannot be tools, with the reason of each: their schemas are invalid.
    pub fn skipped(&self) -> impl Iterator<Item = (&AgentName, &ToolError)> {
        self.skipped.iter().map(|(name, error)| (name, error))
    }

    /// The tools for one of OpenAI's APIs, not strict.
    #[must_use]
    pub fn openai(&self, api: OpenAiApi) -> Vec<Value> {
        let members = self.tools.iter();
        members.map(|member| member.tool.openai(api)).collect()
    }

    /// The tools for one of OpenAI's APIs: strict, except for those in [`not_strict`](Toolset::not_strict).
    #[must_use]
    pub fn openai_strict(&self, api: OpenAiApi) -> Vec<Value> {
        let members = self.tools.iter();
        let tools = members.map(|member| {
            let strict = member.tool.openai_strict(api);
            strict.unwrap_or_else(|_| member.tool.openai(api))
        });
        tools.collect()
    }

    /// The agents whose inputs OpenAI's strict mode does not express, with the reason of each.
    #[must_use]
    pub fn not_strict(&self) -> Vec<(&AgentName, ToolError)> {
        let members = self.tools.iter();
        let errors = members.filter_map(|member| {
            let error = member.tool.openai_strict(OpenAiApi::Chat).err()?;
            Some((&member.contract.name, error))
        });
        errors.collect()
    }

    /// The tools for Anthropic's Messages API.
    #[must_use]
    pub fn anthropic(&self) -> Vec<Value> {
        let members = self.tools.iter();
        members.map(|member| member.tool.anthropic()).collect()
    }

    /// The tools in the provider-neutral form.
    #[must_use]
    pub fn neutral(&self) -> Vec<ToolSchema> {
        let members = self.tools.iter();
        members.map(|member| member.tool.neutral()).collect()
    }

    /// Calls the agent of the tool `name` with `arguments`, the text that a model wrote.
    ///
    /// The arguments are read by [`tool_input`](openagentmesh_protocol::Contract::tool_input) and validated
    /// against the contract before anything is sent. An agent that streams is called by
    /// [`stream`](Client::stream), and its chunks are collected into a JSON array, up to a limit. Any other
    /// agent is called by [`call`](Client::call).
    ///
    /// The result never fails: an error becomes a text for the model, which may correct its call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request at the host.
    pub async fn call(&self, name: &str, arguments: &str) -> ToolResult {
        let Some(member) = self.member(name) else {
            return self.unknown(name);
        };
        match member.contract.tool_input(arguments) {
            Ok(input) => self.send(member, input).await,
            Err(error) => ToolResult::error(error.to_string()),
        }
    }

    /// As [`Toolset::call`], with arguments that are JSON already, as in a message of Anthropic's API.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request at the host.
    pub async fn call_json(&self, name: &str, arguments: Value) -> ToolResult {
        let Some(member) = self.member(name) else {
            return self.unknown(name);
        };
        let input = member.contract.tool_payload(arguments);
        self.send(member, input).await
    }

    fn member(&self, name: &str) -> Option<&Member> {
        self.tools.iter().find(|member| member.tool.name() == name)
    }

    fn unknown(&self, name: &str) -> ToolResult {
        let names = self.tools.iter().take(MAX_NAMES_SHOWN);
        let names: Vec<&str> = names.map(|member| member.tool.name()).collect();
        let more = if self.len() > names.len() {
            ", …"
        } else {
            ""
        };
        ToolResult::error(format!(
            "tool '{}' not found: the tools are {}{more}",
            name.escape_debug(),
            names.join(", ")
        ))
    }

    async fn send(&self, member: &Member, input: Value) -> ToolResult {
        let contract = &member.contract;
        if let Err(error) = contract.validate(&input) {
            let place = if member.tool.is_wrapped() {
                "; locations start at the property 'input'"
            } else {
                ""
            };
            return ToolResult::error(format!("{}{place}", explained(&error)));
        }
        if contract.capabilities.verb() == Some(Verb::Stream) {
            return self.collect(contract, input).await;
        }
        let mut call = self.client.call::<Box<RawValue>>(&contract.name, input);
        if let Some(timeout) = self.limits.timeout {
            call = call.timeout(timeout);
        }
        match call.await {
            Ok(output) => ToolResult::output(output.get().to_owned()),
            Err(error) => ToolResult::error(explained(&error)),
        }
    }

    /// Collects the chunks of a stream.
    async fn collect(&self, contract: &Contract, input: Value) -> ToolResult {
        let mut chunks = Collected::new(self.limits.stream_bytes);
        let timeout = self.limits.timeout.unwrap_or(STREAM_TIMEOUT);
        let request = self.client.stream::<Box<RawValue>>(&contract.name, input);
        let received: Result<()> = async {
            let mut stream = request.timeout(timeout).await?;
            while let Some(chunk) = stream.next().await {
                if !chunks.add(chunk?.get()) {
                    break;
                }
            }
            Ok(())
        }
        .await;
        match received {
            Ok(()) => ToolResult::output(chunks.finish()),
            Err(error) if chunks.count == 0 => ToolResult::error(explained(&error)),
            Err(error) => ToolResult::error(format!(
                "{}; chunks before the error: {}",
                explained(&error),
                chunks.finish()
            )),
        }
    }
}

impl fmt::Debug for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.names()).finish()
    }
}

/// The chunks of a stream as a JSON array, up to a limit.
struct Collected {
    json: String,
    count: usize,
    max_bytes: usize,
    is_cut: bool,
}

impl Collected {
    fn new(max_bytes: usize) -> Self {
        Self {
            json: "[".to_owned(),
            count: 0,
            max_bytes,
            is_cut: false,
        }
    }

    /// Adds a chunk; `false` when there is no place for it.
    fn add(&mut self, chunk: &str) -> bool {
        if self.count == MAX_STREAM_CHUNKS || self.json.len() + chunk.len() > self.max_bytes {
            self.is_cut = true;
            return false;
        }
        if self.count > 0 {
            self.json.push(',');
        }
        self.json.push_str(chunk);
        self.count += 1;
        true
    }

    fn finish(mut self) -> String {
        self.json.push(']');
        if self.is_cut {
            let cut = format!(
                "\nincomplete: the first {} chunks of a longer stream",
                self.count
            );
            self.json.push_str(&cut);
        }
        self.json
    }
}

/// The text of `error` for a model.
fn explained(error: &Error) -> String {
    let again = if error.is_retryable() {
        "; the same call may succeed later"
    } else {
        ""
    };
    format!("{}: {error}{again}", error.code())
}

/// The result of a tool's call, as text for the model; returned by [`Toolset::call`].
///
/// ```no_run
/// # async fn example(tools: openagentmesh::Toolset) {
/// let result = tools.call("noon", "").await;
/// let message = serde_json::json!({"role": "tool", "content": result.text()});
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the model waits for the result"]
pub struct ToolResult {
    text: String,
    is_error: bool,
}

impl ToolResult {
    fn output(text: String) -> Self {
        Self {
            text,
            is_error: false,
        }
    }

    fn error(text: String) -> Self {
        Self {
            text,
            is_error: true,
        }
    }

    /// The text: the output as JSON, or the error and the way to correct the call.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the call failed. Anthropic's API takes this as `is_error`.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.is_error
    }
}

impl fmt::Display for ToolResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ToolResult> for String {
    fn from(result: ToolResult) -> Self {
        result.text
    }
}
