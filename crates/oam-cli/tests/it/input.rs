//! The input of `oam agent call`: fields, files, and what is said of an input that does not fit.

use std::collections::BTreeMap;
use std::process::Command;

use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, agent, agents};
use serde_json::{Value, json};

use crate::support::{CommandOutput, HandlerCount, TestMesh};

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Small,
    Large,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Customer {
    name: String,
    email: Option<String>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Part {
    sku: String,
    amount: Option<u32>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Order {
    sku: String,
    quantity: u32,
    price: Option<f64>,
    #[serde(default)]
    express: bool,
    kind: Option<Kind>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    sizes: Vec<f64>,
    customer: Option<Customer>,
    #[serde(default)]
    parts: Vec<Part>,
    #[serde(default)]
    labels: BTreeMap<String, u32>,
}

/// Returns the order.
#[agent(channel = "shop")]
async fn order(order: Order) -> Order {
    order
}

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Doubles a number.
#[agent]
async fn double(number: f64) -> f64 {
    2.0 * number
}

/// Greets.
#[agent]
async fn greet(name: Option<String>) -> String {
    name.unwrap_or_else(|| "stranger".to_owned())
}

/// Returns the time.
#[agent]
async fn clock() -> String {
    "12:00".to_owned()
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![order, echo, double, greet, clock]).await
}

/// The reply to `oam agent call shop.order` with these arguments.
fn ordered(mesh: &TestMesh, arguments: &[&str]) -> Value {
    let output = mesh.oam(&[&["agent", "call", "shop.order"], arguments].concat());
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

/// Runs a suggested command as it was printed.
fn run_as_printed(mesh: &TestMesh, command: &str) -> CommandOutput {
    let arguments = command.strip_prefix("oam ").unwrap();
    let script = format!("\"$0\" {arguments}");
    let mut shell: Command = mesh.sandbox.program("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_oam")]);
    shell.env("OAM_URL", &mesh.url);
    shell.output().unwrap().into()
}

fn hint(output: &CommandOutput) -> &str {
    let mut lines = output.stderr.lines();
    let hint = lines.find_map(|line| line.strip_prefix("  hint: "));
    hint.unwrap_or_else(|| panic!("no hint: {output:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_get_the_types_of_the_contract() {
    let mesh = start_mesh().await;
    let order = ordered(
        &mesh,
        &["sku=123", "quantity=3", "price=1.5", "express=true"],
    );
    assert_eq!(order["sku"], "123");
    assert_eq!(order["quantity"], 3);
    assert_eq!(order["price"], 1.5);
    assert_eq!(order["express"], true);

    let order = ordered(
        &mesh,
        &[
            "sku=a=b, \"c\"",
            "quantity:=2",
            "kind=large",
            "tags=red",
            "tags=1",
            "sizes=0.5",
            "customer.name=Ada",
            "customer[email]=ada@example.org",
            "parts[0].sku=A",
            "parts[1].sku=B",
            "parts[0].amount=7",
            "labels.a.b=1",
        ],
    );
    assert_eq!(order["sku"], "a=b, \"c\"");
    assert_eq!(order["kind"], "large");
    assert_eq!(order["tags"], json!(["red", "1"]));
    assert_eq!(order["sizes"], json!([0.5]));
    assert_eq!(
        order["customer"],
        json!({"name": "Ada", "email": "ada@example.org"})
    );
    let parts = json!([{"sku": "A", "amount": 7}, {"sku": "B", "amount": null}]);
    assert_eq!(order["parts"], parts);
    assert_eq!(order["labels"], json!({"a.b": 1}));

    let order = ordered(
        &mesh,
        &[
            "sku=",
            "quantity=0",
            "tags:=[\"a\", \"b\"]",
            "price:=null",
            "customer:={\"name\": \"x\"}",
        ],
    );
    assert_eq!(order["sku"], "");
    assert_eq!(order["tags"], json!(["a", "b"]));
    assert_eq!(order["price"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_that_does_not_fit_is_a_usage_error() {
    let mesh = start_mesh().await;
    for (arguments, fragments) in [
        (
            &["sku=a", "quantity=three"][..],
            &["  quantity: expected an integer, got 'three'"][..],
        ),
        (
            &["sku=a", "quantity=1.5"],
            &["  quantity: expected an integer, got '1.5'"],
        ),
        (&["sku=a", "quantity=-1"], &["quantity: -1 is less than"]),
        (
            &["sku=a", "quantity=1", "express=yes"],
            &["  express: expected true or false, got 'yes'"],
        ),
        (
            &["sku=a", "quantity=1", "kind=huge"],
            &["  kind: expected one of \"small\", \"large\"", "got 'huge'"],
        ),
        (
            &["sku=a", "quantity=1", "sizes=1,2"],
            &["  sizes: expected a number, got '1,2'; each element"],
        ),
        (&["sku=a"], &["quantity"]),
        (
            &["sku=a", "quantity=1", "customer=Ada"],
            &["customer.NAME=TEXT or customer:=JSON"],
        ),
        (
            &["sku=a", "sku=b", "quantity=1"],
            &["  sku: an earlier argument gives its value"],
        ),
        (
            &["sku=a", "quantity=1", "parts[1].sku=A"],
            &["  parts[0]: the element is missing"],
        ),
        (
            &["sku=a", "quantity:=many"],
            &["invalid JSON value of 'quantity'", "quantity=TEXT"],
        ),
        (&["sku=a", "many"], &["invalid input 'many'", "KEY=TEXT"]),
        (
            &["sku=a", "tags[0=x"],
            &["  tags[0: a closing bracket is missing"],
        ),
        (
            &["sku=three", "quantity=three", "x=1"],
            &[
                "  quantity: expected",
                "  x: unknown key; known: sku, quantity",
            ],
        ),
    ] {
        let command = [&["agent", "call", "shop.order"], arguments].concat();
        let output = mesh.oam(&command);
        output.assert_failure(&command, 2, &["error[invalid_input]"]);
        output.assert_failure(&command, 2, fragments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_key_is_answered_with_the_command_that_was_meant() {
    let mesh = start_mesh().await;
    for (arguments, similar) in [
        (&["skuu=a b", "quantity=2"][..], "'sku'"),
        (&["SKU=a b", "quantity=2"], "'sku'"),
        (&["sku=a b", "quanttiy:=2"], "'quantity'"),
        (&["sku=a b", "quantity=2", "costumer.name=x"], "'customer'"),
        (
            &["sku=a b", "quantity=2", "customer.nmae=x"],
            "'customer.name'",
        ),
    ] {
        let command = [&["agent", "call", "shop.order"], arguments].concat();
        let output = mesh.oam(&command);
        output.assert_failure(&command, 2, &["unknown key; similar: ", similar]);
        let repeated = run_as_printed(&mesh, hint(&output));
        assert_eq!(repeated.code, 0, "{output:?}: {repeated:?}");
        let order: Value = serde_json::from_str(&repeated.stdout).unwrap();
        assert_eq!(
            (&order["sku"], &order["quantity"]),
            (&json!("a b"), &json!(2))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_without_an_object_takes_no_fields() {
    let mesh = start_mesh().await;
    for (arguments, expected, reply) in [
        (&["echo", "a=b"][..], "expected text", "\"a=b\"\n"),
        (&["echo", "see", "x=1", "and"], "KEY=TEXT", ""),
        (
            &["echo", "hello", "big world"],
            "2 arguments",
            "\"hello big world\"\n",
        ),
        (&["echo", "it's"], "invalid JSON input", "\"it's\"\n"),
        (&["double", "x=1"], "expected a number", ""),
        (&["clock", "x=1"], "agent 'clock' takes none", "\"12:00\"\n"),
    ] {
        let command = [&["agent", "call"], arguments].concat();
        let output = mesh.oam(&command);
        output.assert_failure(&command, 2, &[expected]);
        if !reply.is_empty() {
            let command = hint(&output).rsplit(": ").next().unwrap();
            assert_eq!(run_as_printed(&mesh, command).stdout, reply, "{output:?}");
        }
    }
    // Text with an equals sign in JSON is JSON.
    let output = mesh.oam(&["agent", "call", "echo", "\"a=b\""]);
    assert_eq!(output.stdout, "\"a=b\"\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_is_an_input() {
    let mesh = start_mesh().await;
    let write = |name: &str, text: &str| {
        std::fs::write(mesh.sandbox.work().join(name), text).unwrap();
    };
    write("in.json", "\u{feff}{\"sku\": \"f\", \"quantity\": 1}\r\n");
    write("note.txt", "\u{feff}two\nlines");
    write("tags.json", "[\"x\"]\n");
    write("count", "7\n");
    assert_eq!(ordered(&mesh, &["@in.json"])["sku"], "f");
    let order = ordered(
        &mesh,
        &["sku=@note.txt", "quantity=@count", "tags:=@tags.json"],
    );
    assert_eq!(order["sku"], "two\nlines");
    assert_eq!(order["quantity"], 7);
    assert_eq!(order["tags"], json!(["x"]));
    let order = ordered(&mesh, &["sku:=\"@note.txt\"", "quantity=1"]);
    assert_eq!(order["sku"], "@note.txt");

    let call = ["agent", "call", "shop.order"];
    for (arguments, stdin) in [
        (&["@-"][..], "{\"sku\": \"s\", \"quantity\": 1}"),
        (&["sku=@-", "quantity=1"], "s"),
    ] {
        let output = mesh.oam_with_stdin(&[&call, arguments].concat(), stdin);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.contains("\"sku\":\"s\""), "{output:?}");
    }
    let output = mesh.oam(&["agent", "call", "shop.order", "in.json"]);
    output.assert_failure(&["in.json"], 2, &["oam agent call shop.order @in.json"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_file_is_a_usage_error() {
    let mesh = start_mesh().await;
    let path = |name: &str| mesh.sandbox.work().join(name);
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("utf16"), b"\xff\xfe{\0}\0").unwrap();
    std::fs::write(path("latin1"), b"\"\xe4\"").unwrap();
    std::fs::write(path("broken"), "{\n  \"sku\": \n").unwrap();
    for (arguments, fragments) in [
        (
            &["@missing"][..],
            &["cannot read missing: No such file"][..],
        ),
        (&["sku=@missing"], &["cannot read missing: No such file"]),
        (
            &["@folder"],
            &["cannot read folder: the path is a directory"],
        ),
        (&["@utf16"], &["utf16 is UTF-16", "iconv"]),
        (&["@latin1"], &["byte 2 of latin1 is not UTF-8"]),
        (
            &["sku=@latin1"],
            &["invalid value of 'sku'", "byte 2 of latin1 is not UTF-8"],
        ),
        (
            &["@broken"],
            &[
                "invalid JSON input",
                "line",
                "broken must be one JSON value",
            ],
        ),
        (&["@"], &["missing file name after @"]),
        (&["sku=@-", "tags=@-"], &["stdin can be read once only"]),
    ] {
        let command = [&["agent", "call", "shop.order"], arguments].concat();
        mesh.oam(&command).assert_failure(&command, 2, fragments);
        // The input is read before the connection.
        let unreachable = [&command[..], &["--url", "nats://127.0.0.9:9"]].concat();
        mesh.sandbox
            .oam(&unreachable)
            .assert_failure(&command, 2, fragments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_input_is_a_usage_error_of_agents_that_need_one() {
    let mesh = start_mesh().await;
    for arguments in [
        &["agent", "call", "echo"][..],
        &["agent", "call", "shop.order", ""],
        &["agent", "send", "shop.order"],
    ] {
        let agent = arguments[2];
        let output = mesh.oam(arguments);
        output.assert_failure(arguments, 2, &["error[invalid_input]", agent]);
        let verb = format!("oam agent {} {agent}", arguments[1]);
        assert!(hint(&output).contains(&verb), "{output:?}");
    }
    let output = mesh.oam(&["agent", "call", "greet"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "\"stranger\"\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn example_is_printed_and_nothing_is_sent() {
    let mesh = start_mesh().await;
    let runs = HandlerCount::default();
    let guards = runs.clone();
    let spec = AgentSpec::new("counted", "Counts its runs.").handler(move |number: u32| {
        std::mem::forget(guards.guard());
        async move { number }
    });
    mesh.client.register(spec).await.unwrap();
    for verb in ["call", "send"] {
        let output = mesh.oam(&["agent", verb, "counted", "--example"]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        serde_json::from_str::<Value>(&output.stdout).unwrap();
    }
    let output = mesh.oam(&["agent", "call", "clock", "--example"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "null\n"));
    assert_eq!(output.stderr, "agent 'clock' takes no input\n");
    let conflict = ["agent", "call", "counted", "1", "--example"];
    mesh.oam(&conflict)
        .assert_failure(&conflict, 2, &["cannot be used with"]);
    runs.reaches(0).await;
    assert_eq!(mesh.oam(&["agent", "call", "counted", "1"]).code, 0);
    runs.reaches(1).await;
}
