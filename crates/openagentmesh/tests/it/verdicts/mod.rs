//! A contract and the host come to one verdict for one input.

mod limits;

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, Contract};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::{TestMesh, within};

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Numbers {
    a: u8,
    b: i16,
    c: u32,
    d: i64,
    e: u64,
    f: Option<i32>,
    g: f64,
    h: Vec<u16>,
    i: Option<usize>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Wide {
    a: u128,
    b: i128,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Extended {
    #[schemars(required)]
    id: Option<String>,
    #[schemars(extend("enum" = ["a", "b"]))]
    mode: String,
    #[schemars(range(min = 1, max = 9))]
    count: Option<u32>,
    #[schemars(extend("minProperties" = 1))]
    map: BTreeMap<String, i32>,
    #[serde(default)]
    #[schemars(required)]
    flag: bool,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
enum Choice {
    A,
    B(u8),
    C { name: String },
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Flattened {
    name: String,
    #[serde(flatten)]
    choice: Option<Choice>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
enum Tagged {
    Plain { size: u8 },
    Nested { inner: Box<Numbers>, list: Vec<i8> },
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
enum Untagged {
    Number(u8),
    Text(String),
    Pair { a: u16, b: bool },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Closed {
    #[serde(alias = "old")]
    new: String,
    pair: (u8, String),
}

#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct ClosedInSchema {
    points: Vec<Point>,
    best: Option<Point>,
    unit: Unit,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Metre,
    Mile,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Tree {
    value: i8,
    children: Vec<Tree>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
enum Formula {
    Number {
        value: f64,
    },
    Add {
        left: Box<Formula>,
        right: Box<Formula>,
    },
    Subtract {
        left: Box<Formula>,
        right: Box<Formula>,
    },
    Multiply {
        left: Box<Formula>,
        right: Box<Formula>,
    },
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind")]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
enum Chain {
    Left { next: Option<Box<Chain>> },
    Right { next: Option<Box<Chain>> },
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
enum Ambiguous {
    Named {
        name: String,
        next: Option<Box<Ambiguous>>,
    },
    Next {
        next: Option<Box<Ambiguous>>,
    },
    Other {
        next: Option<Box<Ambiguous>>,
        other: Option<u8>,
    },
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Sparse {
    a: Option<Point>,
    b: Option<Vec<Option<Point>>>,
    c: Option<BTreeMap<String, Vec<u8>>>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema and its decoding are tested")]
struct Texts {
    #[schemars(email)]
    email: Option<String>,
    #[schemars(url)]
    url: Option<String>,
    #[schemars(extend("format" = "uuid"))]
    id: Option<String>,
    #[schemars(length(min = 1, max = 2), regex(pattern = "^[a-z]+$"))]
    short: Option<String>,
    address: Option<std::net::IpAddr>,
    letter: Option<char>,
}

/// An agent that takes an `In`.
fn agent<In: DeserializeOwned + JsonSchema + Send + 'static>(name: &str) -> Agent {
    AgentSpec::new(name, "Takes an input.").handler(|_: In| async move { true })
}

/// Values to put in every place of an input.
fn near() -> Vec<Value> {
    let mut all = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-0.0),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(9.0),
        json!(127),
        json!(128),
        json!(255.0),
        json!(256),
        json!(-129),
        json!(32768.0),
        json!(65536),
        json!(2_147_483_648_u32),
        json!(-2_147_483_649_i64),
        json!(4_294_967_295.0),
        json!(4_294_967_296_u64),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e19),
        json!(1e20),
        json!(-1e19),
        json!(1e30),
        json!(-1e38),
        json!(1e39),
        json!(1e300),
        json!(""),
        json!("a"),
        json!("ab"),
        json!("abc"),
        json!("A"),
        json!("metre"),
        json!("é"),
        json!("x@example.com"),
        json!("X <x@example.com>"),
        json!("https://example.com/"),
        json!("::1"),
        json!("67e55044-10b1-426f-9247-bb680e5fe0c8"),
        json!("67e5504410b1426f9247bb680e5fe0c8"),
        json!([]),
        json!([1]),
        json!([1, "a"]),
        json!([1, 2]),
        json!([1.0, "a", 2]),
        json!([null]),
        json!({}),
        json!({"a": 1}),
        json!({"a": 1.0, "b": true}),
        json!({"A": null}),
        json!({"B": 1.0}),
        json!({"C": {"name": "a"}}),
        json!({"C": ["a"]}),
        json!({"x": 1, "y": 2.0}),
        json!({"value": 1, "children": []}),
        json!({"name": "a"}),
    ];
    all.push(json!({"kind": "plain", "size": 1}));
    all
}

/// `valid` with one place replaced, removed or added.
fn neighbours(valid: &Value) -> Vec<Value> {
    let mut all = near();
    match valid {
        Value::Object(members) => {
            all.push(members.values().cloned().collect());
            for (name, member) in members {
                let mut without = members.clone();
                without.remove(name);
                all.push(Value::Object(without.clone()));
                without.insert("old".to_owned(), member.clone());
                all.push(Value::Object(without));
                for member in neighbours(member) {
                    let mut with = members.clone();
                    with.insert(name.clone(), member);
                    all.push(Value::Object(with));
                }
            }
            for member in [
                ("unknown", json!(1)),
                ("A", json!(null)),
                ("B", json!(2)),
                ("C", json!({"name": "a"})),
            ] {
                let mut with = members.clone();
                with.insert(member.0.to_owned(), member.1);
                all.push(Value::Object(with));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for item in neighbours(item) {
                    let mut with = items.clone();
                    with[index] = item;
                    all.push(Value::Array(with));
                }
            }
        }
        _ => {}
    }
    all
}

#[tokio::test]
async fn input_has_one_verdict_from_contract_and_host() {
    let numbers =
        json!({"a": 1, "b": -2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 1.5, "h": [7], "i": 8});
    let cases = [
        (agent::<Numbers>("numbers"), numbers.clone()),
        (agent::<Wide>("wide"), json!({"a": 1, "b": -1})),
        (
            agent::<Extended>("extended"),
            json!({"id": "x", "mode": "a", "count": 1, "map": {"k": 1}, "flag": true}),
        ),
        (
            agent::<Flattened>("flattened"),
            json!({"name": "x", "B": 1}),
        ),
        (agent::<Choice>("choice"), json!({"C": {"name": "x"}})),
        (
            agent::<Tagged>("tagged"),
            json!({"kind": "plain", "size": 1}),
        ),
        (
            agent::<Tagged>("tagged.nested"),
            json!({"kind": "nested", "inner": {"a": 1, "b": -2, "c": 3, "d": 4, "e": 5, "g": 1, "h": []}, "list": [1]}),
        ),
        (agent::<Untagged>("untagged"), json!({"a": 1, "b": true})),
        (
            agent::<Closed>("closed"),
            json!({"new": "x", "pair": [1, "y"]}),
        ),
        (
            agent::<ClosedInSchema>("closed_in_schema"),
            json!({"points": [{"x": 1, "y": 2}], "best": {"x": 1, "y": 2}, "unit": "mile"}),
        ),
        (
            agent::<Tree>("tree"),
            json!({"value": 1, "children": [{"value": 2, "children": []}]}),
        ),
        (
            agent::<Texts>("texts"),
            json!({"email": "x@example.com", "url": "https://example.com", "short": "a",
                   "id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "address": "::1", "letter": "a"}),
        ),
        (agent::<u32>("u32"), json!(1)),
        (agent::<Option<Vec<i64>>>("list"), json!([1])),
        (agent::<BTreeMap<String, u64>>("map"), json!({"k": 1})),
        (agent::<(u8, Option<String>)>("pair"), json!([1, "x"])),
        (agent::<std::collections::BTreeSet<u8>>("set"), json!([1])),
        (agent::<std::num::NonZeroI8>("non_zero"), json!(1)),
    ];
    let test = TestMesh::start().await;
    let mut failed = Vec::new();
    for (agent, valid) in cases {
        let name = agent.name().to_owned();
        test.mesh.register(agent).await.unwrap();
        let contract: Contract = test.mesh.contract(&name).await.unwrap();
        contract.validate(&valid).unwrap();
        let mut inputs = neighbours(&valid);
        inputs.push(valid);
        let mesh = &test.mesh;
        let (name, contract) = (&name, &contract);
        let differing: Vec<String> = stream::iter(inputs)
            .map(|input| async move {
                let allowed = contract.validate(&input);
                let taken = within(mesh.call::<Value>(name, &input)).await;
                if let Err(error) = &taken {
                    assert_eq!(error.code(), "invalid_input", "{name}: {input}");
                }
                (allowed.is_ok() != taken.is_ok())
                    .then(|| format!("{name}: {input}: contract {allowed:?}, host {taken:?}"))
            })
            .buffer_unordered(16)
            .filter_map(|differing| async move { differing })
            .collect()
            .await;
        failed.extend(differing);
    }
    assert!(
        failed.is_empty(),
        "{} differ:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[tokio::test]
async fn whole_number_is_an_integer_however_it_is_written() {
    let test = TestMesh::start().await;
    let handler = AgentSpec::new("next", "Adds one.").handler(|n: u128| async move { n + 1 });
    test.mesh.register(handler).await.unwrap();
    let contract = test.mesh.contract("next").await.unwrap();
    for (written, next) in [
        ("1200.0", 1201),
        ("1.2e3", 1201),
        ("-0", 1),
        ("9007199254740993.0", 9_007_199_254_740_994),
        ("36893488147419103233", 36_893_488_147_419_103_234),
        ("340282366920938463463374607431768211454", u128::MAX),
    ] {
        let input: Box<RawValue> = RawValue::from_string(written.to_owned()).unwrap();
        contract.validate(&input).unwrap();
        let reply: u128 = within(test.mesh.call("next", &input)).await.unwrap();
        assert_eq!(reply, next, "{written}");
    }
    contract.validate(u128::MAX).unwrap();
    contract.validate(1.5).unwrap_err();
}

/// Whether the contract and the host of agent `name` take `input`, which they must agree on.
async fn verdict(test: &TestMesh, name: &str, input: &Value) -> bool {
    let contract = test.mesh.contract(name).await.unwrap();
    let allowed = contract.validate(input);
    let taken = within(test.mesh.call::<Value>(name, input)).await;
    assert_eq!(
        allowed.is_ok(),
        taken.is_ok(),
        "{name}: {allowed:?}, {taken:?}"
    );
    allowed.is_ok()
}

#[tokio::test]
async fn nested_variants_of_a_tagged_enum_are_valid_however_deep() {
    let test = TestMesh::start().await;
    let agents = [agent::<Formula>("formula"), agent::<Chain>("chain")];
    test.mesh.register(agents).await.unwrap();
    let mut formula = json!({"op": "number", "value": 1});
    let mut chain = json!({"kind": "Left"});
    for level in 0..40 {
        let op = ["add", "subtract", "multiply"][level % 3];
        formula = json!({"op": op, "left": formula, "right": {"op": "number", "value": level}});
        chain = json!({"kind": (["Left", "Right"][level % 2]), "next": chain});
    }
    assert!(verdict(&test, "formula", &formula).await);
    assert!(verdict(&test, "chain", &chain).await);
    formula["left"]["right"]["op"] = json!("divide");
    chain["next"]["next"]["kind"] = json!("left");
    assert!(!verdict(&test, "formula", &formula).await);
    assert!(!verdict(&test, "chain", &chain).await);
}
