//! A language model whose tools are the agents of the mesh: it reads the catalog, picks what may
//! help, and calls it by its contract. Any endpoint that speaks OpenAI's chat completions will do:
//!
//! ```text
//! oam demo                                       # in another terminal: agents to use
//! export OAM_URL=…                               # the mesh that it printed
//! export OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.1
//! cargo run --example llm_tools -- "How many words has 'the quick brown fox'?"
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use openagentmesh::protocol::tool::OpenAiApi;
use openagentmesh::{AgentMesh, BoxError, CatalogEntry, Contract};
use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How often the model may use tools before it has to answer.
const ROUNDS: usize = 8;

type Result<T> = std::result::Result<T, BoxError>;

#[tokio::main]
async fn main() -> Result<()> {
    let model = Model::from_env()?;
    let question = std::env::args().nth(1);
    let question = question.unwrap_or_else(|| "How many words has 'to be or not to be'?".into());
    let mesh = AgentMesh::from_env().await?;

    // One short line an agent is enough to choose by, and cheap with hundreds of them.
    let catalog = mesh.catalog().invocable(true).await?;
    let picked = pick(&model, &catalog, &question).await?;
    println!("picked {}", picked.join(", "));

    // Only of those that were chosen the model sees the schemas.
    let mut contracts = Vec::new();
    for name in picked {
        contracts.push(mesh.contract(name).await?);
    }
    println!("{}", answer(&model, &mesh, &contracts, &question).await?);
    mesh.shutdown().await?;
    Ok(())
}

/// Asks the model which agents may help.
async fn pick(model: &Model, catalog: &[CatalogEntry], question: &str) -> Result<Vec<String>> {
    let lines: Vec<String> = catalog.iter().map(CatalogEntry::to_compact).collect();
    let task = format!(
        "These agents can be called, one a line:\n{}\n\nAnswer with the names of those that help \
         with the user's question, one a line, and with nothing else.",
        lines.join("\n")
    );
    let messages = [
        json!({"role": "system", "content": task}),
        json!({"role": "user", "content": question}),
    ];
    let reply = model.complete(&messages, &[]).await?;
    let named = reply["content"].as_str().unwrap_or_default();
    // A model may say more than it was asked for.
    let is_named = |entry: &&CatalogEntry| {
        let mut words = named.split(|c: char| c.is_whitespace() || c == ',' || c == '`');
        words.any(|word| word == entry.name)
    };
    let picked = catalog.iter().filter(is_named);
    Ok(picked.map(|entry| entry.name.clone()).collect())
}

/// Lets the model use the agents until it has an answer.
async fn answer(
    model: &Model,
    mesh: &AgentMesh,
    contracts: &[Contract],
    question: &str,
) -> Result<String> {
    let tools = contracts
        .iter()
        .map(|contract| contract.to_openai_tool(OpenAiApi::Chat, false))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut messages = vec![json!({"role": "user", "content": question})];
    for _ in 0..ROUNDS {
        let reply = model.complete(&messages, &tools).await?;
        let calls = reply["tool_calls"].as_array().cloned().unwrap_or_default();
        if calls.is_empty() {
            return Ok(reply["content"].as_str().unwrap_or_default().to_owned());
        }
        messages.push(reply);
        for call in calls {
            let result = use_tool(mesh, contracts, &call["function"]).await;
            // What went wrong is the model's to know: it may do better.
            let result = result.unwrap_or_else(|error| error.to_string());
            println!("{} -> {result}", call["function"]["name"]);
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
        }
    }
    Err(format!("the model used tools {ROUNDS} times and gave no answer").into())
}

/// Calls the agent behind a tool.
async fn use_tool(mesh: &AgentMesh, contracts: &[Contract], function: &Value) -> Result<String> {
    let is_meant = |contract: &&Contract| {
        contract
            .to_tool()
            .is_ok_and(|tool| function["name"] == tool.name)
    };
    let contract = contracts
        .iter()
        .find(is_meant)
        .ok_or("there is no such tool")?;
    let arguments = function["arguments"].as_str().unwrap_or("{}");
    let input = contract.tool_payload(serde_json::from_str(arguments)?);
    // A bad input is explained here, before anything is sent.
    contract.validate(&input)?;
    let name = contract.name.as_str();
    if contract.capabilities.streaming {
        let chunks: Vec<Value> = mesh.stream(name, &input).await?.try_collect().await?;
        return Ok(Value::from(chunks).to_string());
    }
    Ok(mesh.call::<Value>(name, &input).await?.to_string())
}

/// A model behind an OpenAI-compatible endpoint.
struct Model {
    url: String,
    key: Option<String>,
    name: String,
    http: ureq::Agent,
}

impl Model {
    fn from_env() -> Result<Self> {
        let base = std::env::var("OPENAI_BASE_URL")
            .map_err(|_| "OPENAI_BASE_URL names no endpoint, such as http://127.0.0.1:11434/v1")?;
        // Whom this machine trusts.
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let http = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(Duration::from_secs(120)));
        Ok(Self {
            url: format!("{}/chat/completions", base.trim_end_matches('/')),
            key: std::env::var("OPENAI_API_KEY").ok(),
            name: std::env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-4o-mini".into()),
            http: http.build().into(),
        })
    }

    /// The model's next message.
    async fn complete(&self, messages: &[Value], tools: &[Value]) -> Result<Value> {
        let mut request = json!({"model": self.name, "messages": messages});
        if !tools.is_empty() {
            request["tools"] = json!(tools);
        }
        let mut post = self.http.post(&self.url);
        if let Some(key) = &self.key {
            post = post.header("Authorization", format!("Bearer {key}"));
        }
        let asked = tokio::task::spawn_blocking(move || {
            post.send_json(request)?.body_mut().read_json::<Value>()
        });
        let reply = asked
            .await?
            .map_err(|error| format!("the model cannot be asked: {error}"))?;
        Ok(reply["choices"][0]["message"].clone())
    }
}
