//! Schemas as schemars, pydantic and other generators write them, and hostile ones.

mod schemas;

use openagentmesh::protocol::AgentName;
use openagentmesh::schemars::schema_for;
use openagentmesh::{Contract, protocol};
use serde_json::{Map, Value, json};

use self::schemas::{Everything, Internal, Node, Order, PYDANTIC, Plain, good_schemas};
use super::example::Example;
use super::{command_input, example, fields, missing_input};

#[test]
fn example_of_each_good_schema_is_valid() {
    for (name, schema) in good_schemas() {
        for found in [
            Example::full(&schema),
            Example::short(&schema),
            command_input(&schema),
        ] {
            assert_eq!(found.problem, None, "{name}: {}", found.value);
        }
        assert_eq!(example(&schema), Example::full(&schema).value);
    }
}

#[test]
fn full_example_has_all_fields_and_short_example_the_required_ones() {
    let schema = schema_for!(Order).to_value();
    insta::assert_snapshot!(example(&schema), @r#"
    {"sku":"string","quantity":1,"email":"ada@example.com","kind":"Express","note":"string","tags":["string","string2"],"code":"AAA-0000"}
    "#);
    insta::assert_snapshot!(Example::short(&schema).value, @r#"
    {"sku":"string","quantity":1,"email":"ada@example.com","kind":"Express","tags":["string","string2"],"code":"AAA-0000"}
    "#);
    let schema = schema_for!(Node).to_value();
    insta::assert_snapshot!(example(&schema), @r#"
    {"value":1,"children":[],"named":{}}
    "#);
}

#[test]
fn example_that_cannot_be_valid_has_its_problem() {
    for schema in [
        json!({"type": "string", "not": {"type": "string"}}),
        json!({"type": "string", "minLength": 1_000_000_000}),
        json!({"type": "string", "pattern": "^(?!a)b$"}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"$ref": "https://example.com/schema"}),
        json!({"type": "unknown"}),
        json!(false),
    ] {
        assert!(Example::full(&schema).problem.is_some(), "{schema}");
    }
}

/// The rows as lines.
fn table(schema: &Value) -> String {
    let fields = fields(schema);
    assert!(!fields.is_truncated);
    let lines = fields.rows.iter().map(|field| {
        let need = match (&field.default, field.required) {
            (_, true) => "required",
            (Some(default), _) => default,
            (None, _) => "-",
        };
        format!(
            "{} | {} | {need} | {}",
            field.name, field.kind, field.description
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn fields_have_name_type_need_and_description() {
    insta::assert_snapshot!(table(&schema_for!(Order).to_value()), @r#"
    sku | string, 1–40 characters | required | The article, by its name.
    quantity | integer 1–99 | required | 
    email | string, email | required | 
    kind | one of Express|Standard | required | 
    note | string or null | - | 
    tags | array of string, 2+ items, all different | required | 
    code | string, matches ^[A-Z]{3}-\d{4}$ | required |
    "#);
    insta::assert_snapshot!(table(&schema_for!(Everything).to_value()), @r#"
    order | object | required | 
    order.sku | string, 1–40 characters | required | The article, by its name.
    order.quantity | integer 1–99 | required | 
    order.email | string, email | required | 
    order.kind | one of Express|Standard | required | 
    order.note | string or null | - | 
    order.tags | array of string, 2+ items, all different | required | 
    order.code | string, matches ^[A-Z]{3}-\d{4}$ | required | 
    external | Stop or object | required | 
    external.Go | object | - | 
    external.Go.speed | number | required | 
    external.Go.gear | integer -5–5 | required | 
    external.Turn | array [integer, boolean] | - | 
    external.Say | string | - | 
    externals | array of Stop or object | required | 
    externals[].Go | object | - | 
    externals[].Go.speed | number | required | 
    externals[].Go.gear | integer -5–5 | required | 
    externals[].Turn | array [integer, boolean] | - | 
    externals[].Say | string | - | 
    flat | boolean | required | 
    shape | object | required | 
    shape.kind | one of Circle|Square | required | 
    shape.radius | number | required | if shape.kind is Circle
    shape.side | number | required | if shape.kind is Square
    shape.label | string or null | - | if shape.kind is Square
    adjacent | object | required | 
    adjacent.t | one of One|Many | required | 
    adjacent.c | integer 0–255 or array of integer 0–255 | required | 
    untagged | integer or string or object | required | 
    untagged.number | integer | required | 
    untagged.text | string | required | 
    node | object | required | 
    node.value | integer | required | 
    node.next | object or null | - | 
    node.children | array of object | required | 
    node.named | object of object | required | 
    pair | array [integer, string] | required | 
    array | array of integer 0–255, 4 items | required | 
    map | object of array of integer 0–65535 | required | 
    large | integer | required | 
    char | string, 1 character | required | 
    unit | null | required | 
    any | any value | required | 
    duration | object | required | 
    duration.secs | integer ≥ 0 | required | 
    duration.nanos | integer ≥ 0 | required | 
    path | string | required | 
    ip | string, ip | required |
    "#);
    let pydantic: Value = serde_json::from_str(PYDANTIC).unwrap();
    insta::assert_snapshot!(table(&pydantic["everything"]), @r#"
    s | string, 3–20 characters | required | A text.
    i | integer > 0, < 10, multiple of 3 | required | 
    f | number > 0.5, ≤ 1 | required | 
    d | string, date-time | required | 
    day | string, date | required | 
    tm | string, time | required | 
    dur | string, duration | required | 
    u | string, uuid | required | 
    url | string, uri, 1+ characters | required | 
    dec | number or string | required | 
    k | one of std|express | "std" | 
    lit | one of x|1 or null | required | 
    opt | integer or null | null | 
    uni | integer or string or array of integer | required | 
    pet | object | required | 
    pet.pet | one of cat|dog | required | 
    pet.lives | integer 1–9 | 9 | if pet.pet is cat
    pet.name | string | required | if pet.pet is dog
    tup | array [integer, string] | required | 
    st | array of integer, 2+ items, all different | required | 
    lst | array of integer, 3–5 items | required | 
    mp | object of integer | required | 
    node | object | required | 
    node.value | integer | required | 
    node.next | object or null | null | 
    node.children | array of object | [] | 
    b | string, binary | required | 
    anyv | any value | required |
    "#);
}

#[test]
fn value_that_is_no_object_is_a_row_without_a_name() {
    let kinds = [
        (schema_for!(u8).to_value(), "integer 0–255"),
        (schema_for!(Vec<Internal>).to_value(), "array of object"),
        (
            schema_for!(Option<Plain>).to_value(),
            "one of Express|Standard or null",
        ),
        (
            json!({"enum": ["a b", "1", 1, true, "true", null]}),
            r#"one of "a b"|"1"|1|true|"true" or null"#,
        ),
        (json!({"const": "x"}), "always x"),
        (
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            "number > 0, ≤ 1",
        ),
        (
            json!({"type": "string", "format": "email"}),
            "string, email",
        ),
        (
            json!({"type": "string", "nullable": true}),
            "string or null",
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 1, "uniqueItems": true}),
            "array of integer, 1+ items, all different",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "number"}}),
            "object of number",
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
            "integer or string or null",
        ),
        (
            json!({"$ref": "https://example.com/x"}),
            "defined in another document",
        ),
        (json!(true), "any value"),
        (json!(false), "no value"),
    ];
    for (schema, kind) in kinds {
        let first = fields(&schema).rows.remove(0);
        assert_eq!((first.name.as_str(), first.kind.as_str()), ("", kind));
    }
}

#[test]
fn hostile_schema_is_bounded() {
    let long = "x\u{1b}[31m\n".repeat(200_000);
    let mut deep = json!({"type": "integer"});
    for _ in 0..120 {
        deep = json!({"type": "array", "items": deep, "minItems": 1});
    }
    let mut deep_objects = json!({"type": "integer"});
    for _ in 0..120 {
        deep_objects = json!({"properties": {"a": deep_objects}, "required": ["a"]});
    }
    let wide: Map<String, Value> = (0..50_000)
        .map(|n| (format!("field{n}"), json!({"$ref": "#"})))
        .collect();
    let required: Vec<&String> = wide.keys().collect();
    let alternatives = vec![json!({"$ref": "#"}); 300];
    let doubled = |n: usize| {
        json!({"allOf": [{"$ref": format!("#/$defs/d{}", n + 1)}, {"$ref": format!("#/$defs/d{}", n + 1)}],
        "properties": {"a": {"$ref": format!("#/$defs/d{}", n + 1)}, "b": {"$ref": format!("#/$defs/d{}", n + 1)}},
        "required": ["a", "b"]})
    };
    // A class with hundreds of ranges.
    let letters: Map<String, Value> = (0..500)
        .map(|n| {
            (
                format!("field{n}"),
                json!({"type": "string", "pattern": "\\p{L}{1000}"}),
            )
        })
        .collect();
    let bomb: Map<String, Value> = (0..60).map(|n| (format!("d{n}"), doubled(n))).collect();
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}, {"$ref": "#/allOf/0"}]}),
        json!({"anyOf": alternatives, "oneOf": [{"anyOf": [{"$ref": "#"}]}]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 10}),
        json!({"properties": wide, "required": required}),
        json!({"$ref": "#/$defs/d0", "$defs": bomb}),
        json!({"type": "object", "properties": {&long: {"type": "string", "description": long, "default": long,
            "enum": [long], "pattern": long, "format": long}}, "required": [long]}),
        json!({"type": "string", "pattern": "((((a{1000}){1000}){1000}){1000})"}),
        json!({"type": "string", "pattern": "(".repeat(1_900)}),
        json!({"properties": letters, "required": letters.keys().collect::<Vec<_>>()}),
        json!({"type": "array", "minItems": 1e300, "items": {"type": "string", "minLength": 1e300}}),
        json!({"type": "object", "minProperties": 900, "additionalProperties": {"$ref": "#"}}),
        json!({"type": "object", "propertyNames": {"$ref": "#"}, "minProperties": 3}),
        json!({"type": "number", "minimum": 1e308, "multipleOf": 1e-300}),
        json!({"type": "integer", "minimum": 5, "maximum": 4, "multipleOf": 0.3}),
        json!({"properties": [], "required": {}, "anyOf": {}, "enum": 1, "type": {}, "$ref": 1, "items": 5}),
        json!([1]),
        deep,
        deep_objects,
    ] {
        let found = fields(&schema);
        assert!(found.rows.len() <= 200);
        for row in &found.rows {
            for text in [&row.name, &row.kind, &row.description] {
                assert!(
                    text.len() < 20_000 && !text.contains(['\u{1b}', '\n']),
                    "{text}"
                );
            }
        }
        assert!(example(&schema).to_string().len() < 10_000_000);
        missing_input(&contract(schema), "call");
    }
}

fn contract(input: Value) -> Contract {
    Contract::from(protocol::Contract {
        name: AgentName::new("shop.price").unwrap(),
        description: String::new(),
        version: String::new(),
        tags: Vec::new(),
        capabilities: protocol::Capabilities::default(),
        input_schema: Some(input),
        output_schema: None,
        chunk_schema: None,
        registered_at: None,
        mcp: None,
        idempotent: false,
    })
}

#[test]
fn missing_input_says_what_the_agent_takes_and_shows_a_command() {
    let cases = [
        (
            schema_for!(Order).to_value(),
            "sku, quantity, email, kind, tags, code, and optionally note",
            r#"oam agent call shop.price '{"sku":"string","quantity":1,"email":"ada@example.com","kind":"Express","note":"string","tags":["string","string2"],"code":"AAA-0000"}'"#,
        ),
        (
            schema_for!(u8).to_value(),
            "one value: integer 0–255",
            "oam agent call shop.price 1",
        ),
        (
            schema_for!(Internal).to_value(),
            "kind, and optionally radius, side, label",
            r#"oam agent call shop.price '{"kind":"Circle","radius":1}'"#,
        ),
        (
            json!({"type": "object", "properties": {"it's": {"type": "string"}}}),
            "optionally it's",
            r#"oam agent call shop.price '{"it'\''s":"string"}'"#,
        ),
        (
            json!({"type": "object"}),
            "one value: object",
            "oam agent call shop.price '{}'",
        ),
        (
            json!({"not": {}}),
            "one value: any value",
            "oam agent contract shop.price",
        ),
    ];
    for (schema, message, hint) in cases {
        let failure = missing_input(&contract(schema), "call");
        assert_eq!(
            failure.message,
            format!("no input given: shop.price takes {message}")
        );
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }
}
