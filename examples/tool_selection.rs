//! A model that chooses among 300 agents: `cargo run --example tool_selection`. The example serves the
//! agents and has a fake model, which ranks by common words, so that it runs alone and without a key.
//! `llm_tools` does the same with a real model.

use std::collections::BTreeSet;

use openagentmesh::{Agent, AgentMesh, AgentSpec, OpenAiApi, Result, Toolset};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

const ACTIONS: [&str; 10] = [
    "create", "read", "cancel", "refund", "archive", "approve", "export", "forward", "print",
    "sign",
];
const THINGS: [&str; 30] = [
    "invoice", "order", "parcel", "ticket", "contract", "customer", "supplier", "payment",
    "budget", "report", "meeting", "booking", "flight", "hotel", "visa", "employee", "salary",
    "holiday", "machine", "sensor", "alarm", "building", "room", "vehicle", "route", "recipe",
    "campaign", "survey", "coupon", "warranty",
];

#[derive(Deserialize, JsonSchema)]
struct Request {
    /// The number of the document.
    number: u32,
}

/// The agents of all departments: `invoice.create`, `invoice.read` and so on.
fn agents() -> Vec<Agent> {
    let agent = |thing: &'static str, action: &'static str| {
        AgentSpec::new(action, format!("{action} the {thing} with a number."))
            .channel(thing)
            .handler(move |request: Request| async move {
                format!("{action} {thing} {}: done", request.number)
            })
    };
    let of_thing = |thing| ACTIONS.map(|action| agent(thing, action));
    THINGS.into_iter().flat_map(of_thing).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let question = std::env::args().nth(1);
    let question = question.unwrap_or("Please cancel order 17, the customer has moved".to_owned());
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents()).await?;

    // First tier: one line per agent.
    let catalog = mesh.catalog().invocable(true).await?;
    let lines: Vec<String> = catalog.iter().map(|entry| entry.to_compact()).collect();
    let all = mesh.tools().await?;
    println!("{} agents", catalog.len());
    println!("as lines: {} bytes", lines.join("\n").len());
    println!("as tools: {} bytes", size(&all));

    // Second tier: the schemas of the agents that the model selects.
    let selected = fake_model::select(&question, &lines);
    println!("selected {}", selected.join(", "));
    let tools = mesh.tools().agents(selected).await?;
    println!("their tools: {} bytes", size(&tools));

    let (name, arguments) = fake_model::use_tool(&question, &tools.openai(OpenAiApi::Chat));
    let result = tools.call(&name, &arguments).await;
    println!("{name}({arguments}): {result}");
    mesh.shutdown().await
}

/// The bytes that the definitions of the tools take in a prompt.
fn size(tools: &Toolset) -> usize {
    json!(tools.openai(OpenAiApi::Chat)).to_string().len()
}

/// Ranks by the words that a line and the question have in common.
mod fake_model {
    use super::*;

    fn words(text: &str) -> BTreeSet<String> {
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    }

    fn rank(question: &str, text: &str) -> usize {
        words(question).intersection(&words(text)).count()
    }

    /// The names of the three best agents.
    pub(super) fn select(question: &str, lines: &[String]) -> Vec<String> {
        let mut ranked: Vec<&String> = lines.iter().collect();
        ranked.sort_by_key(|line| std::cmp::Reverse(rank(question, line)));
        let name = |line: &&String| line.split([':', ' ']).next().unwrap_or_default().to_owned();
        ranked.iter().take(3).map(name).collect()
    }

    /// The tool with the best name, and arguments by its schema.
    pub(super) fn use_tool(question: &str, tools: &[Value]) -> (String, String) {
        let name = |tool: &Value| {
            tool["function"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let best = tools
            .iter()
            .map(name)
            .max_by_key(|name| rank(question, &name.replace('_', " ")));
        let number = words(question)
            .iter()
            .find_map(|word| word.parse::<u32>().ok());
        (
            best.unwrap_or_default(),
            json!({"number": number}).to_string(),
        )
    }
}
