//! Agents as tools of a language model: the forms of a toolset, and the calls that a model makes.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures::{Stream, stream};
use openagentmesh::protocol::tool::ToolError;
use openagentmesh::schemars::JsonSchema;
use openagentmesh::{
    Agent, AgentMesh, AgentSpec, Error, ErrorCode, OpenAiApi, RawHandler, RawRequest, Toolset,
    agent, agents,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};
use crate::support::TestMesh;

#[derive(Deserialize, JsonSchema)]
struct Parcel {
    /// Country code, such as SE.
    #[schemars(length(min = 2))]
    country: String,
    grams: u32,
    #[serde(default)]
    express: bool,
}

#[derive(Serialize, JsonSchema)]
struct Quote {
    cents: u32,
}

/// Prices a parcel.
#[agent(channel = "shipping", tags = ["price"])]
async fn quote(parcel: Parcel) -> Result<Quote, Error> {
    if parcel.grams > 1_000 {
        return Err(Error::new("too_heavy", "parcels have at most 1,000 g"));
    }
    Ok(Quote {
        cents: parcel.grams + u32::from(parcel.express) + u32::from(parcel.country == "SE"),
    })
}

#[derive(Deserialize, JsonSchema)]
enum Expression {
    Number(f64),
    Negative(Box<Expression>),
}

/// Evaluates an expression.
#[agent]
async fn evaluate(expression: Expression) -> f64 {
    fn value(expression: Expression) -> f64 {
        match expression {
            Expression::Number(number) => number,
            Expression::Negative(inner) => -value(*inner),
        }
    }
    value(expression)
}

/// Counts up.
#[agent(tags = ["price"])]
fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Counts without an end, in large numbers.
#[agent]
fn endless(from: u32) -> impl Stream<Item = String> {
    stream::iter((from..).map(|number| format!("{number:0100}")))
}

/// Fails after two chunks.
#[agent]
fn fragile(last: u32) -> impl Stream<Item = Result<u32, Error>> {
    stream::iter([
        Ok(1),
        Ok(last),
        Err(Error::new("broken", "the third chunk is missing")),
    ])
}

/// Answers without input.
#[agent]
async fn noon() -> String {
    "12:00".to_owned()
}

/// Takes anything.
#[agent]
async fn anything(input: HashMap<String, Value>) -> usize {
    input.len()
}

/// Publishes nothing.
#[agent]
fn ticker() -> impl Stream<Item = u32> {
    stream::pending()
}

fn named(name: &str) -> Agent {
    let name = name.to_owned();
    AgentSpec::new(name.clone(), "Answers its name.").handler(move || {
        let name = name.clone();
        async move { name }
    })
}

async fn tools(mesh: &AgentMesh) -> Toolset {
    mesh.tools().await.unwrap()
}

/// All forms of the tools, each checked against the rules of its provider.
fn check_forms(tools: &Toolset) -> usize {
    let mut count = 0;
    let mut check = |form: Form, tools: Vec<Value>| {
        for tool in tools {
            checked(form, tool);
            count += 1;
        }
    };
    check(Form::OpenAiChat, tools.openai(OpenAiApi::Chat));
    check(Form::OpenAiResponses, tools.openai(OpenAiApi::Responses));
    check(Form::Anthropic, tools.anthropic());
    let neutral = tools.neutral().into_iter();
    check(Form::Neutral, neutral.map(|tool| json!(tool)).collect());
    for tool in tools.openai_strict(OpenAiApi::Chat) {
        let is_strict = tool["function"]["strict"] == true;
        let form = if is_strict {
            Form::OpenAiChatStrict
        } else {
            Form::OpenAiChat
        };
        check(form, vec![tool]);
    }
    for tool in tools.openai_strict(OpenAiApi::Responses) {
        let is_strict = tool["strict"] == true;
        let form = if is_strict {
            Form::OpenAiResponsesStrict
        } else {
            Form::OpenAiResponses
        };
        check(form, vec![tool]);
    }
    count
}

#[tokio::test]
async fn toolset_has_the_matching_agents_that_answer_requests() {
    let test = TestMesh::start().await;
    let agents = agents![quote, count, ticker, noon, evaluate, anything];
    test.mesh.register(agents).await.unwrap();
    let peer = test.peer().await;
    let all = peer.tools().await.unwrap();
    let names: Vec<_> = all
        .names()
        .map(|(tool, agent)| (tool, agent.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("anything", "anything"),
            ("count", "count"),
            ("evaluate", "evaluate"),
            ("noon", "noon"),
            ("shipping_quote", "shipping.quote"),
        ]
    );
    assert_eq!(check_forms(&all), 6 * 5);
    let not_strict: Vec<_> = all
        .not_strict()
        .into_iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(not_strict, ["anything"]);

    let names = |tools: &Toolset| -> Vec<String> {
        tools.names().map(|(_, agent)| agent.to_string()).collect()
    };
    let channel = peer.tools().channel("shipping").await.unwrap();
    assert_eq!(names(&channel), ["shipping.quote"]);
    let tag = peer.tools().tag("price").await.unwrap();
    assert_eq!(names(&tag), ["count", "shipping.quote"]);
    let selected = peer.tools().agents(["noon", "count"]).await.unwrap();
    assert_eq!(names(&selected), ["count", "noon"]);
    let error = peer.tools().agents(["noon", "ticker"]).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    assert!(error.message().contains("'ticker'"), "{error}");
}

#[tokio::test]
async fn agents_with_similar_names_have_tools_of_their_own() {
    let test = TestMesh::start().await;
    let long = |end: &str| format!("{}.{end}", "long".repeat(20));
    let names = ["a.b", "a_b", "text.count", &long("one"), &long("two")];
    test.mesh.register(names.map(named)).await.unwrap();
    let tools = tools(&test.mesh).await;
    assert_eq!(check_forms(&tools), 6 * 5);
    let mut answers = BTreeMap::new();
    for (name, agent) in tools.names() {
        let answer = tools.call(name, "").await;
        assert_eq!(answer.text(), json!(agent.as_str()).to_string());
        answers.insert(name.to_owned(), agent.to_string());
    }
    assert_eq!(answers.len(), 5);
    assert_eq!(answers["text_count"], "text.count");
}

#[tokio::test]
async fn call_takes_arguments_as_models_write_them() {
    let test = TestMesh::start().await;
    test.mesh
        .register(agents![quote, count, noon, evaluate])
        .await
        .unwrap();
    let tools = tools(&test.mesh).await;
    for (name, arguments, expected) in [
        (
            "shipping_quote",
            r#"{"country": "SE", "grams": 500, "express": null}"#,
            r#"{"cents":501}"#,
        ),
        ("noon", "", r#""12:00""#),
        ("noon", "null", r#""12:00""#),
        ("noon", "{}", r#""12:00""#),
        ("count", r#"{"input": 3}"#, "[0,1,2]"),
        ("count", r#"{"input": 0}"#, "[]"),
        (
            "evaluate",
            r#"{"input": {"Negative": {"Number": 1.5}}}"#,
            "-1.5",
        ),
    ] {
        let result = tools.call(name, arguments).await;
        assert_eq!(
            (result.text(), result.is_error()),
            (expected, false),
            "{name} {arguments}"
        );
    }
    let arguments = json!({"country": "NO", "grams": 7, "express": true});
    let result = tools.call_json("shipping_quote", arguments).await;
    assert_eq!(result.to_string(), r#"{"cents":8}"#);
}

#[tokio::test]
async fn error_of_a_call_is_a_text_that_a_model_can_act_on() {
    let test = TestMesh::start().await;
    let agents = agents![quote, count, fragile, evaluate];
    test.mesh.register(agents).await.unwrap();
    let tools = tools(&test.mesh).await;
    for (name, arguments, fragments) in [
        (
            "nosuch\n",
            "",
            &["tool 'nosuch\\n' not found", "count, evaluate"][..],
        ),
        (
            "count",
            "{\"input\": ",
            &["not JSON", "write one JSON object"],
        ),
        (
            "shipping_quote",
            r#"{"country": "S", "grams": null}"#,
            &["invalid_input", "/country", "/grams"],
        ),
        (
            "count",
            r#"{"input": "x"}"#,
            &["invalid_input", "at the property 'input'"],
        ),
        (
            "shipping_quote",
            r#"{"country": "SE", "grams": 2000}"#,
            &["too_heavy: parcels have at most 1,000 g"],
        ),
        (
            "fragile",
            r#"{"input": 2}"#,
            &["broken: the third chunk is missing", "[1,2]"],
        ),
    ] {
        let result = tools.call(name, arguments).await;
        assert!(result.is_error(), "{name}: {result}");
        for fragment in fragments {
            assert!(
                result.text().contains(fragment),
                "{name}: {fragment} not in {result}"
            );
        }
    }
}

#[tokio::test]
async fn stream_without_an_end_is_cut_and_cancelled() {
    let test = TestMesh::start().await;
    test.mesh.register(agents![endless]).await.unwrap();
    let tools = test.mesh.tools().max_stream_bytes(1_000).await.unwrap();
    let result = tools.call("endless", r#"{"input": 0}"#).await;
    assert!(!result.is_error());
    assert!(
        result.text().contains("incomplete: the first 9 chunks"),
        "{result}"
    );
    assert!(result.text().len() < 1_100);
}

#[tokio::test]
async fn agent_with_an_invalid_schema_is_skipped_with_its_reason() {
    let test = TestMesh::start().await;
    test.mesh
        .register([named("good"), named("bad")])
        .await
        .unwrap();
    // A peer of another SDK may write any schema.
    let raw = test.raw().await;
    let jetstream = async_nats::jetstream::new(raw);
    let registry = jetstream.get_key_value("mesh-registry").await.unwrap();
    let stored = registry.get("bad").await.unwrap().unwrap();
    let mut document: Value = serde_json::from_slice(&stored).unwrap();
    document["skills"][0]["inputSchema"] = json!({"$ref": "https://example.com/other.json"});
    registry
        .put("bad", document.to_string().into())
        .await
        .unwrap();
    let tools = tools(&test.mesh).await;
    let names: Vec<_> = tools.names().map(|(name, _)| name).collect();
    assert_eq!(names, ["good"]);
    let skipped: Vec<_> = tools.skipped().collect();
    assert_eq!(skipped[0].0.as_str(), "bad");
    assert!(matches!(skipped[0].1, ToolError::InvalidSchema { .. }));
    check_forms(&tools);
}

/// Inputs as Rust programs have them.
mod inputs {
    #![expect(dead_code, reason = "only the schemas are looked at")]

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    pub(super) enum Tagged {
        Circle { radius: f64 },
        Rectangle { width: f64, height: Option<f64> },
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "t", content = "c")]
    pub(super) enum Adjacent {
        Nothing,
        Number(u8),
        Text { text: String },
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    pub(super) enum Untagged {
        Number(i64),
        List(Vec<Untagged>),
    }

    /// A kind of unit.
    #[derive(Deserialize, JsonSchema)]
    pub(super) enum Unit {
        /// Centimetres.
        Cm,
        /// Inches.
        In,
    }

    #[derive(Deserialize, JsonSchema)]
    pub(super) struct Flattened {
        id: String,
        /// The unit.
        unit: Unit,
        other: Option<Unit>,
        #[serde(flatten)]
        shape: Tagged,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Tree {
        name: Option<String>,
        #[serde(default)]
        children: Vec<Tree>,
    }

    #[derive(Deserialize, JsonSchema)]
    pub(super) struct Numbers {
        small: i8,
        big: u64,
        ratio: f32,
        pair: (f64, f64),
        grid: [u8; 4],
    }

    #[derive(Deserialize, JsonSchema)]
    pub(super) struct Open {
        any: Value,
        set: HashSet<String>,
        map: BTreeMap<String, u8>,
        mixed: (String, u8),
    }
}

fn taking<T>(name: &str) -> Agent
where
    T: serde::de::DeserializeOwned + JsonSchema + Send + 'static,
{
    AgentSpec::new(name, "Takes a value.").handler(|_: T| async { true })
}

#[tokio::test]
async fn tools_of_rust_types_follow_the_rules_of_providers() {
    let test = TestMesh::start().await;
    let agents = [
        taking::<inputs::Tagged>("tagged"),
        taking::<inputs::Adjacent>("adjacent"),
        taking::<inputs::Untagged>("untagged"),
        taking::<inputs::Flattened>("flattened"),
        taking::<inputs::Tree>("tree"),
        taking::<inputs::Numbers>("numbers"),
        taking::<inputs::Open>("open"),
        taking::<Option<String>>("optional"),
        taking::<Value>("value"),
        taking::<Vec<inputs::Tree>>("trees"),
    ];
    test.mesh.register(agents).await.unwrap();
    let tools = tools(&test.mesh).await;
    assert_eq!(check_forms(&tools), 6 * 10);
    let not_strict: Vec<_> = tools
        .not_strict()
        .into_iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(not_strict, ["open", "value"]);
    // Arguments of the strict form, with null for options that are left out.
    for (name, arguments) in [
        (
            "tagged",
            json!({"input": {"kind": "rectangle", "width": 1, "height": null}}),
        ),
        (
            "adjacent",
            json!({"input": {"t": "Text", "c": {"text": "x"}}}),
        ),
        ("untagged", json!({"input": [[1], 2]})),
        (
            "flattened",
            json!({"input": {"id": "a", "unit": "Cm", "other": null,
            "kind": "circle", "radius": 1.5}}),
        ),
        (
            "tree",
            json!({"name": null, "children": [{"name": "a", "children": null}]}),
        ),
        (
            "numbers",
            json!({"small": -1, "big": 1, "ratio": 0.5, "pair": [1, 2], "grid": [1, 2, 3, 4]}),
        ),
        ("optional", json!({"input": null})),
        (
            "trees",
            json!({"input": [{"name": null, "children": null}]}),
        ),
    ] {
        let tool = tools
            .openai_strict(OpenAiApi::Responses)
            .into_iter()
            .find(|t| t["name"] == name);
        let schema = tool.unwrap()["parameters"].take();
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(
            validator.is_valid(&arguments),
            "{name}: {arguments} {schema}"
        );
        let result = tools.call(name, &arguments.to_string()).await;
        assert_eq!(
            (result.text(), result.is_error()),
            ("true", false),
            "{name}"
        );
    }
}

#[tokio::test]
async fn output_of_a_tool_keeps_its_digits() {
    let test = TestMesh::start().await;
    let digits = "340282366920938463463374607431768211455";
    let handler = RawHandler::trigger(move |_: RawRequest| async move { Ok(Bytes::from(digits)) });
    let agent = AgentSpec::new("big", "Answers a big number.").raw(handler);
    test.mesh.register([agent]).await.unwrap();
    assert_eq!(tools(&test.mesh).await.call("big", "").await.text(), digits);
}
