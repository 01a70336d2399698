//! `oam agent contract`: fields and a command for people, each format, and the options that fit it.

use std::collections::HashMap;

use futures::{Stream, stream};
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, RawHandler, agent, agents};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};
use crate::support::TestMesh;

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text to analyze.
    #[schemars(length(min = 1))]
    text: String,
    language: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Counts {
    words: usize,
}

/// Counts the words of a text.
#[agent(channel = "text", tags = ["text", "numbers"], version = "1.2.0")]
async fn count(input: Text) -> Counts {
    Counts {
        words: input.text.len() + input.language.map_or(0, |language| language.len()),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Delivery {
    Standard,
    Express,
}

#[derive(Deserialize, JsonSchema)]
struct Address {
    street: String,
    /// The postal code.
    #[schemars(regex(pattern = "^[0-9]{5}$"))]
    code: String,
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    /// The article, as the label on its shelf has it.
    #[schemars(length(min = 1))]
    sku: String,
    #[schemars(range(min = 1, max = 99))]
    quantity: u32,
    /// The address for the invoice and for questions.
    #[schemars(email)]
    email: String,
    delivery: Delivery,
    #[serde(default)]
    tags: Vec<String>,
    to: Option<Address>,
}

#[derive(Serialize, JsonSchema)]
struct Price {
    cents: u64,
    /// Days until the delivery.
    days: Option<u8>,
}

/// Prices an order, in cents.
#[agent(channel = "shop", tags = ["sales"], version = "1.0.0")]
async fn price(order: Order) -> Price {
    let words = [&order.sku, &order.email].map(String::len);
    let to = order.to.map_or(0, |to| to.street.len() + to.code.len());
    Price {
        cents: u64::from(order.quantity) * (words[0] + words[1] + to + order.tags.len()) as u64,
        days: matches!(order.delivery, Delivery::Express).then_some(1),
    }
}

/// Counts to a number.
#[agent]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Publishes nothing.
#[agent]
fn ticker() -> impl Stream<Item = u32> {
    stream::pending()
}

/// Does nothing.
#[agent]
async fn idle() {
    std::future::pending().await
}

/// Answers without input.
#[agent]
async fn trigger() -> u8 {
    42
}

/// Takes anything.
#[agent]
async fn anything(input: HashMap<String, String>) -> usize {
    input.len()
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![
        price, count, counter, ticker, idle, trigger, anything
    ])
    .await
}

fn parsed(mesh: &TestMesh, arguments: &[&str]) -> Value {
    let output = mesh.oam(&[&["agent", "contract"], arguments].concat());
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_is_a_table_of_fields_and_a_command_to_paste() {
    let mesh = start_mesh().await;
    let shown = |name: &str| {
        let output = mesh.oam(&["agent", "contract", name]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{name}");
        output.stdout
    };
    insta::assert_snapshot!(shown("shop.price"), @r#"
    shop.price
    Prices an order, in cents.

    Verb          call
    Version       1.0.0
    Tags          sales

    Input
    FIELD      TYPE                        DEFAULT   DESCRIPTION
    sku        string, 1+ characters       required  The article, as the label on its shelf has it.
    quantity   integer 1–99                required
    email      string, email               required  The address for the invoice and for questions.
    delivery   one of standard|express     required
    tags       array of string             []
    to         object or null              -
    to.street  string                      required
    to.code    string, matches ^[0-9]{5}$  required  The postal code.

    Output
    FIELD  TYPE                   DEFAULT   DESCRIPTION
    cents  integer ≥ 0            required
    days   integer 0–255 or null  required  Days until the delivery.

      oam agent call shop.price '{"sku":"string","quantity":1,"email":"ada@example.com","delivery":"standard","tags":["string"],"to":{"street":"string","code":"00000"}}'
    "#);
    insta::assert_snapshot!(shown("text.count"), @r#"
    text.count
    Counts the words of a text.

    Verb          call
    Version       1.2.0
    Tags          text, numbers

    Input
    FIELD     TYPE                   DEFAULT   DESCRIPTION
    text      string, 1+ characters  required  The text to analyze.
    language  string or null         -

    Output
    FIELD  TYPE         DEFAULT   DESCRIPTION
    words  integer ≥ 0  required

      oam agent call text.count '{"text":"string","language":"string"}'
    "#);
    insta::assert_snapshot!(shown("counter"), @r#"
    counter
    Counts to a number.

    Verb          stream
    Version       0.1.0
    Input         integer ≥ 0
    Chunk         integer ≥ 0

      oam agent stream counter 1
    "#);
    insta::assert_snapshot!(shown("ticker"), @r#"
    ticker
    Publishes nothing.

    Verb          subscribe
    Version       0.1.0
    Event         integer ≥ 0

      oam agent subscribe ticker
    "#);
    insta::assert_snapshot!(shown("trigger"), @r#"
    trigger
    Answers without input.

    Verb          call
    Version       0.1.0
    Input         nothing
    Output        integer 0–255

      oam agent call trigger
    "#);
    insta::assert_snapshot!(shown("idle"), @r#"
    idle
    Does nothing.

    Verb          none: the agent works in the background
    Version       0.1.0
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn printed_command_works_as_it_is_printed() {
    let mesh = start_mesh().await;
    for name in ["shop.price", "text.count", "counter", "trigger", "anything"] {
        let output = mesh.oam(&["agent", "contract", name]);
        let command = output
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("  oam "))
            .unwrap();
        let mut shell = mesh.sandbox.program("sh");
        let oam = env!("CARGO_BIN_EXE_oam");
        shell
            .args(["-c", &format!("{oam} {command}")])
            .env("OAM_URL", &mesh.url);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_fits_a_narrow_terminal_except_for_its_command() {
    let mesh = start_mesh().await;
    let (code, seen) = mesh.oam_in_terminal_of(40, &["agent", "contract", "shop.price"]);
    assert_eq!(code, 0, "{seen}");
    for line in seen.lines().filter(|line| !line.contains("oam agent call")) {
        let plain = anstream::adapter::strip_str(line).to_string();
        assert!(plain.chars().count() <= 40, "{seen}");
    }
    insta::assert_snapshot!(anstream::adapter::strip_str(&seen), @r#"
    shop.price
    Prices an order, in cents.

    Verb          call
    Version       1.0.0
    Tags          sales

    Input
    FIELD      TYPE                 DEFAULT
    sku        string, 1+ charact…  required
    quantity   integer 1–99         required
    email      string, email        required
    delivery   one of standard|ex…  required
    tags       array of string      []
    to         object or null       -
    to.street  string               required
    to.code    string, matches ^[…  required
    left out: DESCRIPTION; --wide prints all
      columns

    Output
    FIELD  TYPE        DEFAULT   DESCRIPTION
    cents  integer ≥…  required
    days   integer 0…  required  Days until…

      oam agent call shop.price '{"sku":"string","quantity":1,"email":"ada@example.com","delivery":"standard","tags":["string"],"to":{"street":"string","code":"00000"}}'
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_form_has_the_lines_of_the_published_command_line() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["agent", "contract", "text.count", "--text"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(output.stdout, @r#"
    name:        text.count
    description: Counts the words of a text.
    version:     1.2.0
    streaming:   no
    invocable:   yes
    tags:        text, numbers
    "#);
    let alias = mesh.oam(&["agent", "contract", "text.count", "--format", "text"]);
    assert_eq!(alias.stdout, output.stdout);
    let output = mesh.oam(&["agent", "contract", "ticker", "--text"]);
    insta::assert_snapshot!(output.stdout, @r#"
    name:        ticker
    description: Publishes nothing.
    version:     0.1.0
    streaming:   yes
    invocable:   no
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_with_hostile_texts_is_shown_without_control_characters() {
    let mesh = start_mesh().await;
    let handler = RawHandler::responder(|request| async move { Ok(request.body) });
    let handler = handler.input_schema(json!({
        "type": "object",
        "properties": {
            "a\u{1b}[31m\nb": {"type": "string", "description": "\u{202e}x", "default": "\u{1b}[0m",
                "enum": ["it's", "\u{9b}"]}
        },
        "required": ["a\u{1b}[31m\nb"]
    }));
    let hostile = AgentSpec::new("hostile", "Red \u{1b}[31m.").raw(handler);
    mesh.client.register(hostile).await.unwrap();
    let output = mesh.oam(&["agent", "contract", "hostile"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let is_control = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!output.stdout.contains(is_control), "{output:?}");
    insta::assert_snapshot!(output.stdout, @r#"
    hostile
    Red \u{1b}[31m.

    Verb          call
    Version       0.1.0

    Input
    FIELD          TYPE                    DEFAULT   DESCRIPTION
    a\u{1b}[31m b  one of "it's"|"\u{9b}"  required  \u{202e}x

    Output        any value

      oam agent call hostile '{"a\u001b[31m\nb":"it'\''s"}'
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_format_is_the_document_of_the_registry() {
    let mesh = start_mesh().await;
    let document = parsed(&mesh, &["text.count", "--json"]);
    assert_eq!(document["x-agentmesh"]["subject"], "mesh.agent.text.count");
    let text = &document["skills"][0]["inputSchema"]["properties"]["text"];
    assert_eq!(text["description"], "The text to analyze.");
    assert_eq!(text["minLength"], 1);
    assert_eq!(document, parsed(&mesh, &["text.count", "--format", "json"]));
    let output = mesh.oam(&["agent", "contract", "text.count", "--json"]);
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tool_formats_are_tool_definitions() {
    let mesh = start_mesh().await;
    let tool = parsed(&mesh, &["text.count", "--format", "openai"]);
    assert_eq!(tool["type"], "function");
    assert_eq!(tool["function"]["name"], "text_count");
    assert_eq!(tool["function"].get("strict"), None);
    let parameters = &tool["function"]["parameters"];
    assert_eq!(parameters["properties"]["text"]["minLength"], 1);

    let tool = parsed(&mesh, &["text.count", "--format", "openai", "--strict"]);
    assert_eq!(tool["function"]["strict"], true);
    let parameters = &tool["function"]["parameters"];
    assert_eq!(parameters["required"], json!(["language", "text"]));
    assert_eq!(parameters["additionalProperties"], false);
    assert_eq!(parameters["properties"]["text"].get("minLength"), None);
    checked(Form::OpenAiChatStrict, tool);

    let tool = parsed(&mesh, &["counter", "--format", "anthropic"]);
    assert_eq!(tool["name"], "counter");
    assert_eq!(tool["description"], "Counts to a number.");
    assert_eq!(tool["input_schema"]["required"], json!(["input"]));
    checked(Form::Anthropic, tool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2a_format_is_an_agent_card() {
    let mesh = start_mesh().await;
    let url = "https://mesh.example/agents/text.count";
    let arguments = ["text.count", "--format", "a2a", "--agent-url", url];
    let card = parsed(&mesh, &arguments);
    assert_eq!(card["url"], url);
    assert_eq!(card["version"], "1.2.0");
    assert_eq!(card["skills"][0]["tags"], json!(["text", "numbers"]));
    assert_eq!(card.get("x-agentmesh"), None);
    assert_eq!(card["supportedInterfaces"][0]["url"], url);
    assert_eq!(card["supportedInterfaces"][0]["protocolVersion"], "1.0");

    let output = mesh.oam(&["agent", "contract", "text.count", "--format", "a2a"]);
    let card: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(card["url"], "https://gateway.invalid/text.count");
    assert!(
        output.stderr.contains("--agent-url URL sets the URL"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn option_or_agent_that_does_not_fit_is_rejected() {
    let mesh = start_mesh().await;
    let long = format!("long.{}", "x".repeat(70));
    let spec = AgentSpec::new(&long, "Has a long name.");
    mesh.client
        .register(spec.handler(|| async { 1 }))
        .await
        .unwrap();
    for (arguments, code, fragments) in [
        (
            &["text.count", "--strict"][..],
            2,
            &[
                "--strict requires --format openai",
                "  hint: add --format openai, or leave",
            ][..],
        ),
        (
            &["text.count", "--format", "anthropic", "--strict"],
            2,
            &["--strict requires --format openai"],
        ),
        (
            &["text.count", "--agent-url", "https://mesh.example"],
            2,
            &["--agent-url requires --format a2a"],
        ),
        (
            &["text.count", "--text", "--pretty"],
            2,
            &["  hint: oam agent contract text.count --json"],
        ),
        (
            &["text.count", "--text", "--format", "json"],
            2,
            &["cannot be used with"],
        ),
        (
            &["text.count", "--format", "yaml"],
            2,
            &["openai, anthropic"],
        ),
        (
            &["ticker", "--format", "openai"],
            1,
            &[
                "error[invocation_mismatch]: agent 'ticker' cannot be a tool",
                "  hint: oam agent subscribe ticker",
            ],
        ),
        (
            &["idle", "--format", "anthropic"],
            1,
            &["oam mesh catalog --invocable"],
        ),
        (
            &["ticker", "--format", "a2a"],
            1,
            &[
                "error[invocation_mismatch]: agent 'ticker' cannot be a tool",
                "  hint: oam agent subscribe ticker",
            ],
        ),
        (
            &["anything", "--format", "openai", "--strict"],
            1,
            &[
                "agent 'anything' cannot be strict: the input itself allows properties",
                "  hint: leave --strict out",
            ],
        ),
        (
            &[&long, "--format", "openai"],
            1,
            &["error[invalid_input]", &long, "64 characters"],
        ),
        (
            &["nosuch", "--format", "text"],
            5,
            &[
                "error[not_found]",
                "'nosuch'",
                "oam mesh catalog lists the agents",
            ],
        ),
        (&["no spaces"], 2, &["error[invalid_input]", "'no spaces'"]),
    ] {
        let command = [&["agent", "contract"], arguments].concat();
        mesh.oam(&command).assert_failure(&command, code, fragments);
    }
}
