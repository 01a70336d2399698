//! Contracts that are made to cost much as tools: every form, and the way back, ends soon and takes little memory.
//!
//! Each case runs in a process of its own, which is killed after a deadline and whose peak memory is read at its end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use openagentmesh_protocol::Contract;
use openagentmesh_protocol::tool::OpenAiApi;
use serde_json::{Map, Value, json};

use crate::tool_forms::agent;

/// Names the case to the child process.
const CASE_VARIABLE: &str = "OAM_TEST_HOSTILE_TOOL";

/// A form takes up to 100 ms in a release build.
const DEADLINE: Duration = Duration::from_secs(60);

/// The memory that a form takes in addition to the contract.
const MAX_TAKEN_MIB: u64 = 64;

type Case = (&'static str, fn() -> (Value, Value));

fn many(count: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..count).map(item).collect()
}

fn named(count: usize, item: impl Fn(usize) -> Value) -> Map<String, Value> {
    (0..count).map(|n| (format!("p{n}"), item(n))).collect()
}

/// `depth` definitions, each made by `link` of a reference to the next.
fn chain(depth: usize, link: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    for n in 0..depth {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        definitions.insert(format!("d{n}"), link(next));
    }
    definitions.insert(format!("d{depth}"), json!({"type": "integer"}));
    json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "required": ["a"],
           "$defs": definitions})
}

fn nested(depth: usize, inner: Value, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(inner, |inner, _| wrap(inner))
}

fn object(properties: Map<String, Value>) -> Value {
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "properties": properties})
}

const CASES: &[Case] = &[
    ("oneOf of two equal $refs", || {
        (
            chain(40, |next| json!({"oneOf": [next, next]})),
            json!({"a": null}),
        )
    }),
    ("anyOf of two equal $refs", || {
        (
            chain(40, |next| json!({"anyOf": [next, next]})),
            json!({"a": null}),
        )
    }),
    ("allOf of two equal $refs", || {
        (
            chain(40, |next| json!({"allOf": [next, next]})),
            json!({"a": null}),
        )
    }),
    ("allOf of alternatives", || {
        let alternatives = |n: usize| {
            let one = |name: String| object(Map::from_iter([(name, json!({"type": "null"}))]));
            json!({"anyOf": [one(format!("a{n}")), one(format!("b{n}"))]})
        };
        let input = json!({"allOf": many(40, alternatives)});
        (
            object(Map::from_iter([("a".to_owned(), input)])),
            json!({"a": {"a1": null}}),
        )
    }),
    ("objects that share references", || {
        let link = |next: Value| {
            object(Map::from_iter([
                ("a".to_owned(), next.clone()),
                ("b".to_owned(), next),
            ]))
        };
        let arguments = nested(16, json!(null), |inner| json!({"a": inner, "b": inner}));
        (chain(60, link), json!({"a": arguments}))
    }),
    ("chain of 5,000 $refs", || {
        (chain(5_000, |next| next), json!({"a": null}))
    }),
    ("schema 120 deep", || {
        let wrap = |inner| object(Map::from_iter([("a".to_owned(), inner)]));
        (
            nested(60, json!({"type": "null"}), wrap),
            nested(100, json!(null), |inner| json!({"a": inner})),
        )
    }),
    ("recursive alternatives, arguments 120 deep", || {
        let one = |tag: &str| {
            json!({"type": "object", "properties": {"k": {"type": "string", "description": tag},
                   "n": {"$ref": "#/$defs/T"}}})
        };
        let input = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/T"}},
            "$defs": {"T": {"anyOf": [one("a"), one("b"), one("c"), one("d")]}}});
        let arguments = nested(
            110,
            json!({"k": null}),
            |inner| json!({"k": null, "n": inner}),
        );
        (input, json!({"a": arguments}))
    }),
    ("5,000 properties", || {
        let named = || named(5_000, |_| json!({"type": ["string", "null"]}));
        (object(named()), Value::Object(named()))
    }),
    ("100,000 properties", || {
        (object(named(100_000, |_| json!({}))), json!({"p1": null}))
    }),
    ("long names", || {
        let names =
            (0..200).map(|n| (format!("{n}{}", "x".repeat(5_000)), json!({"type": "null"})));
        (object(names.collect()), json!({}))
    }),
    ("enum of 500,000", || {
        (
            json!({"type": "object", "properties": {"a": {"enum": many(500_000, |n| json!(n))}}}),
            json!({"a": null}),
        )
    }),
    ("20 enums of 900 long texts in alternatives", || {
        let texts = |m: usize| many(900, |n| json!(format!("{m}{n}{}", "x".repeat(100))));
        let input = json!({"oneOf": many(20, |m| json!({"enum": texts(m)}))});
        (
            object(Map::from_iter([("a".to_owned(), input)])),
            json!({"a": null}),
        )
    }),
    ("oneOf of 1,200 objects", || {
        let one = |n: usize| object(Map::from_iter([(format!("p{n}"), json!({"type": "null"}))]));
        (
            object(Map::from_iter([(
                "a".to_owned(),
                json!({"oneOf": many(1_200, one)}),
            )])),
            json!({"a": {"p1": null}}),
        )
    }),
    ("required 200,000 names", || {
        (
            json!({"type": "object", "required": many(200_000, |n| json!(format!("n{n}")))}),
            json!({"n1": null}),
        )
    }),
    ("2,000 patterns", || {
        let one = |n: usize| json!({"type": "string", "pattern": format!("^\\p{{L}}{{100}}{n}$")});
        (object(named(2_000, one)), json!({"p1": null}))
    }),
    ("description of 8 MB", || {
        let input = json!({"type": "string", "description": "é".repeat(4_000_000)});
        (
            object(Map::from_iter([("a".to_owned(), input)])),
            json!({"a": null}),
        )
    }),
    ("shared description of 100 kB", || {
        let text = json!({"type": "string", "description": "é".repeat(50_000)});
        let refs = named(2_000, |_| json!({"$ref": "#/$defs/T", "title": "x"}));
        let mut input = object(refs);
        input["$defs"] = json!({"T": text});
        (input, json!({"p1": null}))
    }),
    ("list of 1,000,000 nulls", || {
        let input = json!({"type": "array", "items": {"anyOf": [{"type": "object",
            "properties": {"a": {"type": "string"}}}, {"type": "integer"}]}});
        (
            object(Map::from_iter([("a".to_owned(), input)])),
            json!({"a": many(1_000_000, |_| json!(null))}),
        )
    }),
    ("schema is a number", || (json!(7), json!({"input": null}))),
    ("$id loops", || {
        (
            json!({"$id": "a", "properties": {"a": {"$id": "a", "$ref": "a"}}}),
            json!({"a": null}),
        )
    }),
];

/// The peak memory of this process so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Makes every form of the tool, and reads the arguments. Returns how long each took.
fn convert(contract: &Contract, arguments: Value) -> Vec<(&'static str, Duration)> {
    let mut took = Vec::new();
    let mut timed = |form, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        took.push((form, started.elapsed()));
    };
    timed("openai", &mut || {
        drop(contract.to_openai_tool(OpenAiApi::Chat, false))
    });
    timed("strict", &mut || {
        drop(contract.to_openai_tool(OpenAiApi::Responses, true))
    });
    timed("anthropic", &mut || drop(contract.to_anthropic_tool()));
    timed("neutral", &mut || drop(contract.to_tool()));
    timed("a2a", &mut || {
        drop(contract.to_a2a_card("https://example.com/"))
    });
    let mut arguments = Some(arguments);
    timed("payload", &mut || {
        drop(arguments.take().map(|json| contract.tool_payload(json)))
    });
    took
}

/// Runs the case that the environment names, in a child process of the test below.
#[test]
fn hostile_tool_case() {
    let Ok(name) = std::env::var(CASE_VARIABLE) else {
        return;
    };
    let (_, make) = CASES.iter().find(|(case, _)| *case == name).unwrap();
    let (input, arguments) = make();
    let contract = agent(input);
    let before_mib = peak_mib();
    let took = convert(&contract, arguments);
    let taken_mib = peak_mib() - before_mib;
    println!("{name} | {taken_mib} MiB | {took:?}");
    assert!(
        taken_mib <= MAX_TAKEN_MIB,
        "{taken_mib} MiB more than {before_mib}"
    );
}

#[test]
fn hostile_contract_becomes_a_tool_or_an_error_soon_with_little_memory() {
    let mut failed = Vec::new();
    for (case, _) in CASES {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tool_hostile::hostile_tool_case", "--nocapture"])
            .env(CASE_VARIABLE, case)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if started.elapsed() > DEADLINE {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        println!(
            "{}",
            said.lines()
                .find(|line| line.starts_with(case))
                .unwrap_or(case)
        );
        if !status.is_some_and(|status| status.success()) {
            failed.push(format!("{case}: {status:?}\n{said}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
