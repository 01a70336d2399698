//! Tool definitions and agent cards made from contracts.

use openagentmesh_protocol::Contract;
use openagentmesh_protocol::tool::{OpenAiApi, ToolError};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};

fn contract(name: &str, input: Option<Value>, output: Option<Value>) -> Contract {
    let mut skill = json!({"id": name, "name": name, "tags": []});
    if let Some(input) = input {
        skill["inputSchema"] = input;
    }
    if let Some(output) = output {
        skill["outputSchema"] = output;
    }
    serde_json::from_value(json!({
        "name": name,
        "description": "Summarizes text.",
        "skills": [skill],
    }))
    .unwrap()
}

fn summarizer() -> Contract {
    contract(
        "nlp.summarizer",
        Some(json!({
            "title": "In", "type": "object", "required": ["text"],
            "properties": {
                "text": {"title": "Text", "type": "string", "minLength": 1},
                "max_words": {"title": "Max Words", "type": "integer", "default": 10},
            },
        })),
        Some(json!({"type": "object", "properties": {"summary": {}, "words": {}}})),
    )
}

#[test]
fn neutral_tool_keeps_the_schema() {
    let tool = summarizer().to_tool().unwrap();
    assert_eq!(tool.name, "nlp_summarizer");
    assert_eq!(
        tool.description,
        "Summarizes text.\nReturns: summary, words."
    );
    assert_eq!(tool.input_schema["properties"]["text"]["minLength"], 1);
    checked(Form::Neutral, serde_json::to_value(tool).unwrap());
}

#[test]
fn strict_tool_requires_every_property() {
    let tool = summarizer().to_openai_tool(OpenAiApi::Chat, true).unwrap();
    assert_eq!(
        checked(Form::OpenAiChatStrict, tool.clone())["function"]["parameters"],
        json!({
            "type": "object",
            "properties": {
                "text": {"type": "string", "pattern": r"^[\s\S]{1,}$"},
                "max_words": {"type": ["integer", "null"]},
            },
            "additionalProperties": false,
            "required": ["max_words", "text"],
        })
    );
    assert_eq!(tool["function"]["strict"], true);
}

#[test]
fn responses_api_tool_has_the_function_at_the_top_level() {
    let tool = summarizer()
        .to_openai_tool(OpenAiApi::Responses, false)
        .unwrap();
    assert_eq!(tool["type"], "function");
    assert_eq!(tool["name"], "nlp_summarizer");
    assert_eq!(tool["strict"], false);
    checked(Form::OpenAiResponses, tool);
}

#[test]
fn strict_tool_rewrites_definitions_and_variants() {
    let schema = json!({
        "type": "object",
        "properties": {"shape": {"$ref": "#/$defs/Shape"}, "unit": {"enum": ["cm", "in"]}},
        "$defs": {"Shape": {"oneOf": [
            {"type": "object", "properties": {"radius": {"type": "number", "minimum": 0}}},
            {"type": "null"},
        ]}},
    });
    let tool = contract("area", Some(schema), None)
        .to_openai_tool(OpenAiApi::Responses, true)
        .unwrap();
    let parameters = &checked(Form::OpenAiResponsesStrict, tool)["parameters"];
    assert_eq!(
        parameters["properties"]["shape"],
        json!({"anyOf": [{"$ref": "#/$defs/Shape"}, {"type": "null"}]})
    );
    assert_eq!(
        parameters["$defs"]["Shape"]["anyOf"][0],
        json!({
            "type": "object",
            "properties": {"radius": {"type": ["number", "null"], "minimum": 0}},
            "additionalProperties": false,
            "required": ["radius"],
        })
    );
}

#[test]
fn strict_tool_with_open_map_is_an_error() {
    let schema = json!({
        "type": "object",
        "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}},
    });
    let error = contract("label", Some(schema), None)
        .to_openai_tool(OpenAiApi::Chat, true)
        .unwrap_err();
    assert!(error.to_string().contains("/properties/labels"), "{error}");
}

#[test]
fn input_other_than_object_is_wrapped_for_models_and_unwrapped_for_agents() {
    let echo = contract("echo", Some(json!({"type": "string"})), None);
    let tool = echo.to_anthropic_tool().unwrap();
    assert_eq!(
        checked(Form::Anthropic, tool)["input_schema"]["properties"]["input"],
        json!({"type": "string"})
    );
    assert_eq!(echo.tool_payload(json!({"input": "hello"})), json!("hello"));
    assert_eq!(
        summarizer().tool_payload(json!({"text": "x"})),
        json!({"text": "x"})
    );
}

#[test]
fn tool_of_publisher_or_long_name_is_an_error() {
    let mut publisher = summarizer();
    publisher.capabilities.invocable = false;
    assert!(matches!(
        publisher.to_tool(),
        Err(ToolError::NotInvocable(_))
    ));
    let long = contract(&"x".repeat(65), None, None);
    assert!(matches!(long.to_tool(), Err(ToolError::NameTooLong(_))));
}

#[test]
fn a2a_card_omits_fields_of_the_mesh() {
    let url = "https://gateway.example/a2a/nlp.summarizer";
    let card = summarizer().to_a2a_card(url).unwrap();
    assert_eq!(card["name"], "nlp.summarizer");
    assert_eq!(card["skills"][0]["id"], "nlp.summarizer");
    assert!(card.get("x-agentmesh").is_none());
    assert!(card["capabilities"].get("invocable").is_none());
}

#[test]
fn a2a_card_serves_clients_of_both_versions() {
    let url = "https://gateway.example/a2a/nlp.summarizer";
    let card = summarizer().to_a2a_card(url).unwrap();
    assert_eq!(
        card["supportedInterfaces"],
        json!([
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ])
    );
    for (field, value) in [
        ("url", url),
        ("preferredTransport", "JSONRPC"),
        ("protocolVersion", "0.3.0"),
    ] {
        assert_eq!(card[field], value, "{field}");
    }
    // The fields that A2A 1.0 requires.
    for field in [
        "name",
        "description",
        "version",
        "capabilities",
        "defaultInputModes",
        "defaultOutputModes",
        "skills",
    ] {
        assert!(card.get(field).is_some(), "{field}");
    }
    let mut publisher = summarizer();
    publisher.capabilities.invocable = false;
    let refused = publisher.to_a2a_card(url);
    assert!(matches!(refused, Err(ToolError::NotInvocable(_))));
}
