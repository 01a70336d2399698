//! The forms of a tool for each provider, for schemas that providers refuse as they are.

use openagentmesh_protocol::tool::{OpenAiApi, ToolError};
use openagentmesh_protocol::{AgentName, Contract, tool};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};

/// A contract of the agent `agent` with the input schema `input`.
pub(crate) fn agent(input: Value) -> Contract {
    let contract = json!({
        "name": "agent",
        "description": "Does something.",
        "skills": [{"inputSchema": input}],
    });
    serde_json::from_value(contract).unwrap()
}

/// The input schema of each form of the agent's tool. Every form is checked against the rules of its provider.
pub(crate) fn schemas(contract: &Contract) -> Vec<(Form, Value)> {
    let tool = contract.tool().unwrap();
    let neutral = serde_json::to_value(tool.neutral()).unwrap();
    let mut forms = vec![
        (Form::OpenAiChat, tool.openai(OpenAiApi::Chat)),
        (Form::OpenAiResponses, tool.openai(OpenAiApi::Responses)),
        (Form::Anthropic, tool.anthropic()),
        (Form::Neutral, neutral),
    ];
    for (form, api) in [
        (Form::OpenAiChatStrict, OpenAiApi::Chat),
        (Form::OpenAiResponsesStrict, OpenAiApi::Responses),
    ] {
        match tool.openai_strict(api) {
            Ok(tool) => forms.push((form, tool)),
            Err(error) => assert!(matches!(error, ToolError::NotStrict { .. }), "{error}"),
        }
    }
    let schema = |tool: &Value| {
        let mut places = ["/function/parameters", "/parameters", "/input_schema"].iter();
        places
            .find_map(|place| tool.pointer(place))
            .unwrap()
            .clone()
    };
    let forms = forms.into_iter();
    forms
        .map(|(form, tool)| (form, schema(&checked(form, tool))))
        .collect()
}

/// The strict schema of the agent's tool.
#[track_caller]
pub(crate) fn strict(input: Value) -> Value {
    let tool = agent(input).to_openai_tool(OpenAiApi::Chat, true).unwrap();
    checked(Form::OpenAiChatStrict, tool)["function"]["parameters"].take()
}

/// The location and the reason for which the input has no strict form. Its other forms are checked.
#[track_caller]
pub(crate) fn not_strict(input: Value) -> String {
    let contract = agent(input);
    schemas(&contract);
    match contract.to_openai_tool(OpenAiApi::Chat, true) {
        Err(ToolError::NotStrict {
            location, reason, ..
        }) => format!("{location} {reason}"),
        other => panic!("{other:?}"),
    }
}

fn is_valid(schema: &Value, value: &Value) -> bool {
    jsonschema::validator_for(schema).unwrap().is_valid(value)
}

#[test]
fn recursive_input_is_wrapped_with_its_references() {
    let input = json!({"oneOf": [
        {"type": "object", "properties": {"Num": {"type": "number"}}, "required": ["Num"]},
        {"type": "object", "properties": {"Neg": {"$ref": "#"}}, "required": ["Neg"]},
    ]});
    let forms = schemas(&agent(input));
    assert_eq!(forms.len(), 6);
    for (form, schema) in forms {
        assert!(
            is_valid(&schema, &json!({"input": {"Neg": {"Num": 1}}})),
            "{form:?}"
        );
        let nested = json!({"input": {"Neg": {"input": {"Num": 1}}}});
        assert!(!is_valid(&schema, &nested), "{form:?}");
    }
}

#[test]
fn every_kind_of_reference_keeps_its_meaning() {
    let id = "https://example.com/text.json";
    let input = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": id,
        "definitions": {
            "Short Text": {"$anchor": "short", "type": "string", "maxLength": 3},
            "Other": {"$id": "other.json", "definitions": {"Flag": {"type": "boolean"}},
                "$ref": "#/definitions/Flag"},
        },
        "anyOf": [{
            "type": "object",
            "properties": {
                "a": {"$ref": "#/definitions/Short%20Text"},
                "b": {"$ref": "#short"},
                "c": {"$ref": format!("{id}#/anyOf/0/properties/a")},
                "d": {"$ref": "other.json"},
                "e": {"type": "array", "items": {"$ref": id}},
            },
            "required": ["a", "b", "c", "d", "e"],
        }],
    });
    let forms = schemas(&agent(input));
    assert_eq!(forms.len(), 6);
    let value = json!({"a": "x", "b": "y", "c": "z", "d": true, "e": []});
    let with = |name: &str, field: Value| {
        let mut value = value.clone();
        value[name] = field;
        json!({ "input": value })
    };
    for (form, schema) in forms {
        assert!(is_valid(&schema, &with("e", json!([value]))), "{form:?}");
        for (name, field) in [
            ("a", json!("long")),
            ("b", json!("long")),
            ("c", json!("long")),
            ("d", json!("no")),
            ("e", json!([{"a": "x"}])),
        ] {
            assert!(!is_valid(&schema, &with(name, field)), "{form:?} {name}");
        }
    }
}

#[test]
fn reference_with_description_is_a_copy_with_the_description() {
    let schema = strict(json!({
        "type": "object",
        "properties": {"hero": {"$ref": "#/$defs/Hero", "description": "The hero"}},
        "required": ["hero"],
        "$defs": {"Hero": {"type": "object", "properties": {"name": {"type": "string"}},
            "required": ["name"]}},
    }));
    assert_eq!(
        schema["properties"]["hero"],
        json!({
            "type": "object",
            "description": "The hero",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn described_recursion_ends_in_references() {
    let schema = strict(json!({
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node", "description": "The root"}},
        "required": ["root"],
        "$defs": {"Node": {"type": "object", "required": ["list"], "properties": {
            "list": {"$ref": "#/$defs/List", "description": "The children"}}},
            "List": {"type": "array", "items": {"$ref": "#/$defs/Node", "description": "A child"}}},
    }));
    assert!(is_valid(
        &schema,
        &json!({"root": {"list": [{"list": []}]}})
    ));
}

#[test]
fn strict_form_has_documented_keywords_only() {
    let schema = strict(json!({
        "type": "object",
        "properties": {
            "grams": {"type": "integer", "format": "uint32", "minimum": 0, "examples": [1]},
            "n": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5, "default": 1},
            "at": {"type": "string", "format": "date-time", "title": "At"},
            "code": {"type": "string", "pattern": "^[a-z]{2}$"},
            "name": {"type": "string", "minLength": 1, "maxLength": 40},
            "kind": {"const": "fast"},
            "pair": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}],
                "minItems": 2, "maxItems": 2},
        },
        "required": ["grams", "n", "at", "code", "name", "kind", "pair"],
        "$comment": "nothing", "x-order": 1,
    }));
    assert_eq!(
        schema["properties"],
        json!({
            "grams": {"type": "integer", "minimum": 0},
            "n": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
            "at": {"type": "string", "format": "date-time"},
            "code": {"type": "string", "pattern": "^[a-z]{2}$"},
            "name": {"type": "string", "pattern": r"^[\s\S]{1,40}$"},
            "kind": {"type": "string", "enum": ["fast"]},
            "pair": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        })
    );
}

#[test]
fn inexpressible_input_is_not_strict_at_its_location() {
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let field = |schema: Value| object(json!({ "a": schema }));
    for (input, expected) in [
        (json!({}), "the input itself allows any value"),
        (json!(true), "the input itself allows any value"),
        (
            json!({"type": "object"}),
            "the input itself allows properties",
        ),
        (
            json!({"type": "object", "additionalProperties": true}),
            "the input itself allows prop",
        ),
        (
            field(json!({"description": "anything"})),
            "/properties/a allows any value",
        ),
        (field(json!(true)), "/properties/a allows any value"),
        (
            field(json!({"type": "array"})),
            "/properties/a allows any items",
        ),
        (
            field(json!({"type": "array", "items": {}})),
            "/properties/a/items allows any value",
        ),
        (
            field(json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true})),
            "/properties/a requires unique items",
        ),
        (
            field(json!({"type": "object", "additionalProperties": {"type": "string"}})),
            "/properties/a allows properties",
        ),
        (
            field(json!({"type": "string", "format": "uri"})),
            "/properties/a/format is the format",
        ),
        (
            field(json!({"type": "string", "pattern": "^(?!a)"})),
            "/properties/a/pattern has an as",
        ),
        (
            field(json!({"type": "string", "maxLength": 10_001})),
            "/properties/a/maxLength is above",
        ),
        (
            field(json!({"type": "string", "not": {"const": "a"}})),
            "/properties/a/not excludes",
        ),
        (
            field(json!({"type": "object", "patternProperties": {"^x": {"type": "string"}}})),
            "/properties/a/patternProperties names properties",
        ),
        (
            field(json!({"oneOf": [{"type": "integer"}, {"type": "number"}]})),
            "/properties/a has variants of oneOf that may overlap",
        ),
        (
            field(json!({"enum": [{"b": 1}]})),
            "/properties/a/enum lists objects",
        ),
        (
            json!({"type": "object", "properties": {}, "required": ["b"]}),
            "/properties/b allows any value",
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}],
                "minItems": 2, "maxItems": 2}),
            "the input itself gives each item a schema of its own",
        ),
    ] {
        let found = not_strict(input.clone());
        assert!(found.starts_with(expected), "{input}: {found}");
    }
}

#[test]
fn strict_form_that_no_value_fits_is_an_error() {
    for input in [
        json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}),
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        json!({"type": "string", "enum": [1]}),
        json!({"allOf": [{"type": "string"}, {"type": "integer"}]}),
        json!(false),
    ] {
        let found = not_strict(input.clone());
        assert!(found.ends_with("allows no value"), "{input}: {found}");
    }
}

#[test]
fn object_with_variants_at_the_root_is_wrapped() {
    let variant = |name: &str| json!({"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]});
    let contract = agent(json!({
        "type": "object",
        "title": "Req",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "oneOf": [variant("Add"), variant("Sub")],
    }));
    let forms = schemas(&contract);
    assert_eq!(forms.len(), 6);
    let arguments = json!({"input": {"id": "x", "Add": 1}});
    for (form, schema) in forms {
        assert!(is_valid(&schema, &arguments), "{form:?}");
        assert!(
            !is_valid(&schema, &json!({"input": {"id": "x"}})),
            "{form:?}"
        );
    }
    assert_eq!(
        contract.tool_payload(arguments),
        json!({"id": "x", "Add": 1})
    );
}

#[test]
fn root_that_a_provider_refuses_is_wrapped() {
    for input in [
        json!({"type": "string"}),
        json!({"type": ["object", "null"], "properties": {}}),
        json!({"type": "object", "properties": {}, "not": {"required": ["a"]}}),
        json!({"type": "object", "enum": [{}]}),
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}),
        json!({"type": "object", "properties": {"filter[id]": {"type": "string"}}}),
        json!({"type": "object", "properties": {"é": {"type": "string"}}}),
        json!({"type": "object", "properties": {"x".repeat(65): {"type": "string"}}}),
        json!({"anyOf": [{"type": "object", "properties": {}}]}),
        json!({}),
        json!(true),
    ] {
        for (form, schema) in schemas(&agent(input.clone())) {
            assert_eq!(schema["required"], json!(["input"]), "{form:?} {input}");
        }
    }
}

#[test]
fn object_without_properties_gets_an_empty_list() {
    for input in [
        json!({"type": "object", "additionalProperties": true}),
        json!({"type": "object"}),
    ] {
        for (form, schema) in schemas(&agent(input)) {
            assert_eq!(schema["properties"], json!({}), "{form:?}");
        }
    }
}

#[test]
fn boolean_schemas_are_written_as_objects() {
    let contract = agent(json!({
        "type": "object",
        "properties": {
            "data": true,
            "never": false,
            "list": {"type": "array", "items": true},
            "default": {"type": "boolean", "enum": [true], "default": true},
            "map": {"type": "object", "additionalProperties": true},
        },
    }));
    for (_, schema) in schemas(&contract) {
        let properties = &schema["properties"];
        assert_eq!(properties["data"], json!({}));
        assert_eq!(properties["never"], json!({"not": {}}));
        assert_eq!(properties["list"]["items"], json!({}));
        assert_eq!(properties["default"]["enum"], json!([true]));
        assert_eq!(properties["map"]["additionalProperties"], true);
    }
}

#[test]
fn keywords_of_older_drafts_are_written_in_their_present_form() {
    let contract = agent(json!({
        "type": "object",
        "properties": {
            "pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}],
                "additionalItems": false},
            "n": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
        },
        "dependencies": {"pair": ["n"], "n": {"required": ["pair"]}},
    }));
    let (_, schema) = schemas(&contract).remove(0);
    assert_eq!(
        schema["properties"]["pair"],
        json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": {"not": {}}})
    );
    assert_eq!(
        schema["properties"]["n"],
        json!({"type": "number", "exclusiveMinimum": 0})
    );
    assert_eq!(schema["dependentRequired"], json!({"pair": ["n"]}));
    assert_eq!(
        schema["dependentSchemas"],
        json!({"n": {"required": ["pair"]}})
    );
}

#[test]
fn long_description_is_cut_between_characters_with_the_result_first() {
    let mut contract = agent(json!({"type": "string"}));
    contract.description = "é".repeat(2_000);
    contract.output_schema = Some(json!({"type": "object", "properties": {"words": {}}}));
    schemas(&contract);
    let tool = contract.to_openai_tool(OpenAiApi::Chat, false).unwrap();
    let text = tool["function"]["description"].as_str().unwrap();
    assert_eq!(text.chars().count(), 1_024);
    assert!(
        text.starts_with("Returns: words.\né") && text.ends_with("é…"),
        "{text}"
    );
    let whole = contract.to_anthropic_tool().unwrap();
    let whole = whole["description"].as_str().unwrap();
    assert!(whole.starts_with('é') && whole.ends_with("é\nReturns: words."));
}

#[test]
fn names_of_several_agents_are_unique_and_independent_of_their_order() {
    let long = |end: &str| format!("{}.{end}", "x".repeat(70));
    let names = [
        "a.b",
        "a_b",
        "text.count",
        &long("one"),
        &long("two"),
        &long("one"),
    ];
    let agents: Vec<AgentName> = names
        .iter()
        .map(|name| AgentName::new(*name).unwrap())
        .collect();
    let unique = tool::unique_names(&agents);
    assert_eq!(unique[2], "text_count");
    assert_eq!(unique[3], unique[5]);
    let distinct: std::collections::BTreeSet<_> = unique.iter().collect();
    assert_eq!(distinct.len(), 5);
    for (agent, name) in agents.iter().zip(&unique) {
        let mut contract = self::agent(json!({"type": "string"}));
        contract.name = agent.clone();
        let tool = contract.tool_named(name).unwrap();
        checked(Form::OpenAiChat, tool.openai(OpenAiApi::Chat));
    }
    let reversed = tool::unique_names(agents.iter().rev());
    assert_eq!(reversed.into_iter().rev().collect::<Vec<_>>(), unique);
}
