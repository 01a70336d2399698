//! The catalogs and registry documents that hostile peers write.

use bytes::Bytes;
use serde_json::{Value, json};

/// The size of a large value, in bytes. The server leaves room for the entries of a few agents.
const LARGE: usize = 8_000_000;

/// A hostile change of catalog or registry.
#[derive(Clone)]
pub(super) enum Change {
    /// The value of the catalog's key.
    Catalog(Bytes),
    /// The registry document of "echo".
    Contract(Bytes),
    PurgedCatalog,
    PurgedRegistry,
    DeletedCatalogKey,
    DeletedContractKey,
    DeletedCatalogBucket,
    DeletedRegistryBucket,
}

/// A change with its name, and whether the stored catalog is malformed after it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) change: Change,
    pub(super) is_malformed: bool,
}

fn filled(element: impl Fn(usize) -> String) -> String {
    let mut text = String::from("[");
    for number in 0.. {
        let element = element(number);
        if text.len() + element.len() + 2 > LARGE {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&element);
    }
    text + "]"
}

fn entry(description: &str, invocable: bool, streaming: bool) -> Value {
    json!({"name": "echo", "description": description, "version": "0.1.0", "tags": [],
        "invocable": invocable, "streaming": streaming})
}

fn crowd(prefix: &str) -> String {
    filled(|number| {
        format!(
            r#"{{"name":"{prefix}{number:05}","description":"One of many agents.","version":"1.0.0","tags":["crowd"]}}"#
        )
    })
}

/// Catalogs that are JSON arrays.
fn arrays() -> Vec<(&'static str, String)> {
    let open = "[".repeat(99_999);
    let close = "]".repeat(99_999);
    let fields: String = (0..400_000)
        .map(|number| format!("\"f{number}\":0,"))
        .collect();
    let json = |value: Value| value.to_string();
    vec![
        ("empty list", "[]".to_owned()),
        (
            "null description, version, tags, flags",
            json(
                json!([{"name": "echo", "description": null, "version": null, "tags": null,
                "invocable": null, "streaming": null}]),
            ),
        ),
        (
            "echo said to be a publisher",
            json(json!([entry("Echoes a message back.", false, true)])),
        ),
        (
            "echo said to be a streamer",
            json(json!([entry("Echoes a message back.", true, true)])),
        ),
        (
            "echo said to be a watcher",
            json(json!([entry("Echoes a message back.", false, false)])),
        ),
        (
            "echo described otherwise",
            json(json!([entry("Sends your money away.", true, false)])),
        ),
        (
            "echo twice, the first one wrong",
            json(json!([
                entry("Wrong.", false, true),
                entry("Echoes a message back.", true, false)
            ])),
        ),
        (
            "names with spaces, wildcards, escapes",
            json(
                json!([{"name": "a b"}, {"name": "*"}, {"name": ">"}, {"name": "\u{1b}[31mx"},
                {"name": "ec\u{202e}ho"}, {"name": ""}, {"name": "a..b"}]),
            ),
        ),
        (
            "names and fields of wrong types",
            json(
                json!([{"name": 7}, {"name": ["echo"]}, {"name": "echo", "description": 7},
                {"name": "echo", "tags": "x"}, {"name": "echo", "tags": [1]}, {"name": "x", "invocable": "yes"},
                "echo", 7, null, [], {}]),
            ),
        ),
        ("100,000 levels deep", format!("[{open}{close}]")),
        (
            "entry 100,000 levels deep",
            format!(r#"[{{"name":"echo","x":{open}{close}}}]"#),
        ),
        ("4,000,000 zeros", filled(|_| "0".to_owned())),
        (
            "1,000,000 elements that differ",
            filled(|number| number.to_string()),
        ),
        ("80,000 entries (8 MB)", crowd("crowd.a")),
        ("80,000 entries once more, others", crowd("other.b")),
        (
            "one entry with 400,000 fields",
            format!(r#"[{{{fields}"name":"echo"}}]"#),
        ),
        (
            "one entry with 2,000,000 tags",
            format!(
                r#"[{{"name":"echo","tags":[{}""]}}]"#,
                "\"\",".repeat(2_000_000)
            ),
        ),
        (
            "many entries with many tags",
            filled(|number| {
                format!(
                    r#"{{"name":"t{number}","tags":[{}""]}}"#,
                    "\"\",".repeat(5000)
                )
            }),
        ),
        (
            "many entries with many fields",
            filled(|number| format!(r#"{{"name":"x{number}","x":[{}0]}}"#, "0,".repeat(5000))),
        ),
        (
            "one entry with 8 MB of description",
            format!(
                r#"[{{"name":"echo","description":"{}"}}]"#,
                "x".repeat(LARGE - 100)
            ),
        ),
        (
            "a valid list again",
            json(json!([entry("Echoes a message back.", true, false)])),
        ),
    ]
}

/// Values that are not catalogs.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("not a list", br#"{"name": "echo"}"#.to_vec()),
        ("no JSON", b"not json".to_vec()),
        ("half of a list", br#"[{"name": "echo"}"#.to_vec()),
        ("no UTF-8", b"[\"\xff\xfe\"]".to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"7".to_vec()),
        ("a text", br#""echo""#.to_vec()),
        ("deep without an end", vec![b'['; 100_000]),
        ("8 MB of brackets", vec![b'['; LARGE]),
        ("8 MB of text", [b"\"", &*vec![b'x'; LARGE], b"\""].concat()),
    ]
}

/// Registry documents of "echo".
fn contracts() -> Vec<(&'static str, Vec<u8>)> {
    let good = json!({
        "name": "echo", "description": "Echoes.", "version": "0.1.0",
        "capabilities": {"streaming": false, "invocable": true},
        "skills": [{"id": "echo", "name": "echo", "description": "Echoes.", "tags": [],
            "inputSchema": {"type": "string"}, "outputSchema": {"type": "string"}}],
        "x-agentmesh": {"subject": "mesh.agent.echo", "tags": []},
    });
    let with = |pointer: &str, value: Value| {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        document.to_string().into_bytes()
    };
    let schema = "/skills/0/inputSchema";
    let nested = |depth: usize| {
        let (open, close) = (r#"{"items":"#.repeat(depth), "}".repeat(depth));
        let text = with(schema, json!("SCHEMA"));
        let text = String::from_utf8(text).unwrap();
        text.replace("\"SCHEMA\"", &format!("{open}{{}}{close}"))
            .into_bytes()
    };
    let doubled = (0..40).fold(json!({"type": "string"}), |inner, _| {
        json!({"oneOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}], "$defs": {"x": inner}})
    });
    vec![
        (
            "registry document of echo: forged capabilities",
            with(
                "/capabilities",
                json!({"streaming": true, "invocable": false}),
            ),
        ),
        (
            "good, of another registration",
            with("/description", json!("Other.")),
        ),
        (
            "registered in a thousand years",
            with(
                "/x-agentmesh",
                json!({"registered_at": "3026-01-01T00:00:00+00:00"}),
            ),
        ),
        ("registry: no JSON", b"{not json".to_vec()),
        ("registry: empty", Vec::new()),
        ("registry: null", b"null".to_vec()),
        ("registry: a list", b"[]".to_vec()),
        ("name of another agent", with("/name", json!("other"))),
        ("name with spaces", with("/name", json!("ec ho"))),
        ("null description", with("/description", json!(null))),
        ("null capabilities", with("/capabilities", json!(null))),
        ("null skills", with("/skills", json!(null))),
        ("null tags", with("/x-agentmesh/tags", json!(null))),
        ("null x-agentmesh", with("/x-agentmesh", json!(null))),
        ("schema is a number", with(schema, json!(7))),
        ("100 deep schema", nested(100)),
        ("200 deep schema", nested(200)),
        (
            "8 MB description",
            with("/description", json!("x".repeat(LARGE))),
        ),
        (
            "escapes in the description",
            with("/description", json!("\u{1b}[31m\u{202e}\u{200b}")),
        ),
        ("exponential oneOf", with(schema, doubled)),
    ]
}

pub(super) fn all() -> Vec<Case> {
    let case = |name, change| Case {
        name,
        change,
        is_malformed: false,
    };
    let arrays = arrays()
        .into_iter()
        .map(|(name, text)| case(name, Change::Catalog(text.into())));
    let malformed = malformed().into_iter().map(|(name, value)| Case {
        is_malformed: true,
        ..case(name, Change::Catalog(value.into()))
    });
    let contracts = contracts()
        .into_iter()
        .map(|(name, value)| case(name, Change::Contract(value.into())));
    let removed = [
        case("the stream purged", Change::PurgedCatalog),
        case("the registry purged", Change::PurgedRegistry),
        case("the catalog's key deleted", Change::DeletedCatalogKey),
        case("the contract's key deleted", Change::DeletedContractKey),
        case("the catalog's bucket deleted", Change::DeletedCatalogBucket),
        case(
            "the registry's bucket deleted",
            Change::DeletedRegistryBucket,
        ),
    ];
    arrays
        .chain(malformed)
        .chain(contracts)
        .chain(removed)
        .collect()
}
