//! A language model whose tools are the agents of the mesh. The model reads the catalog, selects
//! agents, and calls them by their contracts. Any endpoint with OpenAI's chat completions API
//! works:
//!
//! ```text
//! oam demo                                       # in another terminal: sample agents
//! export OAM_URL=…                               # the URL that it printed
//! export OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.1
//! cargo run --example llm_tools -- "How many words has 'the quick brown fox'?"
//! ```

use std::sync::Arc;
use std::time::Duration;

use openagentmesh::{AgentMesh, BoxError, CatalogEntry, OpenAiApi, Toolset};
use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Limit of the rounds of tool calls before the answer.
const MAX_ROUNDS: usize = 8;

type Result<T> = std::result::Result<T, BoxError>;

#[tokio::main]
async fn main() -> Result<()> {
    let model = Model::from_env()?;
    let question = std::env::args().nth(1);
    let question = question.unwrap_or_else(|| "How many words has 'to be or not to be'?".into());
    let mesh = AgentMesh::from_env().await?;

    // One short line per agent is enough to choose from, and cheap for hundreds of agents.
    let catalog = mesh.catalog().invocable(true).await?;
    let selected = select(&model, &catalog, &question).await?;
    println!("selected {}", selected.join(", "));

    // The model gets the schemas of the selected agents only.
    let tools = mesh.tools().agents(selected).await?;
    println!("{}", answer(&model, &tools, &question).await?);
    mesh.shutdown().await?;
    Ok(())
}

/// Asks the model which agents help with the question.
async fn select(model: &Model, catalog: &[CatalogEntry], question: &str) -> Result<Vec<String>> {
    let lines: Vec<String> = catalog.iter().map(CatalogEntry::to_compact).collect();
    let task = format!(
        "These agents can be called, one per line:\n{}\n\nAnswer only with the names of those that \
         help with the user's question, one per line.",
        lines.join("\n")
    );
    let messages = [
        json!({"role": "system", "content": task}),
        json!({"role": "user", "content": question}),
    ];
    let reply = model.complete(&messages, &[]).await?;
    let named = reply["content"].as_str().unwrap_or_default();
    // A model may add other text to the names.
    let is_named = |entry: &&CatalogEntry| {
        let mut words = named.split(|c: char| c.is_whitespace() || c == ',' || c == '`');
        words.any(|word| word == entry.name)
    };
    let selected = catalog.iter().filter(is_named);
    Ok(selected.map(|entry| entry.name.clone()).collect())
}

/// Runs the tool calls of the model until it answers.
async fn answer(model: &Model, tools: &Toolset, question: &str) -> Result<String> {
    let definitions = tools.openai(OpenAiApi::Chat);
    let mut messages = vec![json!({"role": "user", "content": question})];
    for _ in 0..MAX_ROUNDS {
        let reply = model.complete(&messages, &definitions).await?;
        let calls = reply["tool_calls"].as_array().cloned().unwrap_or_default();
        if calls.is_empty() {
            return Ok(reply["content"].as_str().unwrap_or_default().to_owned());
        }
        messages.push(reply);
        for call in calls {
            let text = |field: &str| call["function"][field].as_str().unwrap_or_default();
            // The text of an error, too, goes to the model, which may correct its call.
            let result = tools.call(text("name"), text("arguments")).await;
            println!("{} -> {result}", call["function"]["name"]);
            messages.push(
                json!({"role": "tool", "tool_call_id": call["id"], "content": result.text()}),
            );
        }
    }
    Err(format!("no answer after {MAX_ROUNDS} rounds of tool calls").into())
}

/// A model at an OpenAI-compatible endpoint.
struct Model {
    url: String,
    key: Option<String>,
    name: String,
    http: ureq::Agent,
}

impl Model {
    fn from_env() -> Result<Self> {
        let base = std::env::var("OPENAI_BASE_URL")
            .map_err(|_| "set OPENAI_BASE_URL to an endpoint, such as http://127.0.0.1:11434/v1")?;
        // The root certificates of this machine.
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
        let request = tokio::task::spawn_blocking(move || {
            post.send_json(request)?.body_mut().read_json::<Value>()
        });
        let reply = request
            .await?
            .map_err(|error| format!("the request to the model failed: {error}"))?;
        Ok(reply["choices"][0]["message"].clone())
    }
}
