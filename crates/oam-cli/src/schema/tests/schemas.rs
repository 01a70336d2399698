//! The schemas that the tests are about, with names.

use std::collections::{BTreeMap, HashMap, HashSet};

use openagentmesh::schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

/// A JSON object of schemas that pydantic 2 wrote for types of each kind.
pub(super) const PYDANTIC: &str = include_str!("pydantic.json");

#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) enum Plain {
    /// The cheap one.
    Standard,
    Express,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
enum External {
    Stop,
    Go {
        speed: f32,
        #[schemars(range(min = -5, max = 5))]
        gear: i8,
    },
    Turn(i32, bool),
    Say(String),
}

#[derive(JsonSchema)]
#[schemars(tag = "kind")]
#[allow(dead_code)]
pub(super) enum Internal {
    Circle { radius: f64 },
    Square { side: f64, label: Option<String> },
}

#[derive(JsonSchema)]
#[schemars(tag = "t", content = "c")]
#[allow(dead_code)]
enum Adjacent {
    One(u8),
    Many(Vec<u8>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Untagged {
    Number(i64),
    Text(String),
    Both { number: i64, text: String },
}

#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct Node {
    value: i32,
    next: Option<Box<Node>>,
    children: Vec<Node>,
    named: BTreeMap<String, Node>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
pub(super) struct Order {
    /// The article, by its name.
    #[schemars(length(min = 1, max = 40))]
    sku: String,
    #[schemars(range(min = 1, max = 99))]
    quantity: u32,
    #[schemars(email)]
    email: String,
    kind: Plain,
    note: Option<String>,
    #[schemars(length(min = 2))]
    tags: HashSet<String>,
    #[schemars(regex(pattern = "^[A-Z]{3}-\\d{4}$"))]
    code: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct Everything {
    order: Order,
    external: External,
    externals: Vec<External>,
    #[schemars(flatten)]
    internal: FlatPart,
    adjacent: Adjacent,
    untagged: Untagged,
    node: Node,
    pair: (i32, String),
    array: [u8; 4],
    map: HashMap<String, Vec<u16>>,
    large: i128,
    char: char,
    unit: (),
    any: Value,
    duration: std::time::Duration,
    path: std::path::PathBuf,
    ip: std::net::IpAddr,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct FlatPart {
    flat: bool,
    shape: Internal,
}

/// Schemas of each kind by their names.
pub(super) fn good_schemas() -> Vec<(String, Value)> {
    let pydantic: Map<String, Value> = serde_json::from_str(PYDANTIC).unwrap();
    let mut schemas: Vec<(String, Value)> = pydantic.into_iter().collect();
    schemas.extend([
        ("Plain".to_owned(), schema_for!(Plain).to_value()),
        ("External".to_owned(), schema_for!(External).to_value()),
        ("Internal".to_owned(), schema_for!(Internal).to_value()),
        ("Adjacent".to_owned(), schema_for!(Adjacent).to_value()),
        ("Untagged".to_owned(), schema_for!(Untagged).to_value()),
        ("Node".to_owned(), schema_for!(Node).to_value()),
        ("Order".to_owned(), schema_for!(Order).to_value()),
        ("Everything".to_owned(), schema_for!(Everything).to_value()),
        ("Option".to_owned(), schema_for!(Option<Order>).to_value()),
        ("Vec".to_owned(), schema_for!(Vec<Internal>).to_value()),
        ("Value".to_owned(), schema_for!(Value).to_value()),
        ("u8".to_owned(), schema_for!(u8).to_value()),
        ("u128".to_owned(), schema_for!(u128).to_value()),
        ("String".to_owned(), schema_for!(String).to_value()),
    ]);
    let others = [
        json!({"type": "integer", "multipleOf": 7, "exclusiveMinimum": 20}),
        json!({"type": "integer", "maximum": -3}),
        json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        json!({"type": "number", "multipleOf": 0.1, "minimum": 0.25}),
        json!({"type": "number", "minimum": 1.5, "maximum": 1.5}),
        json!({"type": "integer", "minimum": 9_223_372_036_854_775_807_i64}),
        json!({"type": "string", "minLength": 20, "maxLength": 20}),
        json!({"type": "string", "maxLength": 2}),
        json!({"type": "string", "pattern": "^(a|b)+[0-9_]*$", "minLength": 8}),
        json!({"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "array", "contains": {"const": 5}, "minItems": 2}),
        json!({"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": false}),
        json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}),
        json!({"type": "object", "patternProperties": {"^x-[a-z]+$": {"type": "integer"}}, "minProperties": 1,
            "additionalProperties": false}),
        json!({"type": "object", "propertyNames": {"enum": ["a", "b"]}, "minProperties": 2}),
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "dependentRequired": {"a": ["b"]}, "required": ["a"]}),
        json!({"type": "object", "required": ["unknown"], "additionalProperties": {"type": "boolean"}}),
        json!({"allOf": [{"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 5}, "b": {"const": true}}, "required": ["b"]}]}),
        json!({"oneOf": [{"type": "number"}, {"type": "string"}]}),
        json!({"oneOf": [{"type": "number", "multipleOf": 3}, {"type": "number", "multipleOf": 1}]}),
        json!({"type": ["string", "null"], "format": "date-time"}),
        json!({"type": "string", "format": "hostname"}),
        json!({"type": "string", "examples": ["one", "two"], "default": "three"}),
        json!({"type": "string", "examples": [1], "minLength": 2}),
        json!({"$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"type": "boolean"}}}),
        json!({"definitions": {"D": {"type": "integer"}}, "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "array", "items": [{"$ref": "#/definitions/D"}, {"type": "string"}], "additionalItems": false}),
        json!({"enum": [null, "a"]}),
        json!({"type": "object"}),
        json!(true),
    ];
    schemas.extend(
        others
            .into_iter()
            .map(|schema| (schema.to_string(), schema)),
    );
    schemas
}
