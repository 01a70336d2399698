//! Tool definitions of a Python agent, in Rust and in its own process.

use interop::Sdk;
use openagentmesh::protocol::tool::OpenAiApi;
use serde_json::{Value, json};

use crate::common::TestMesh;

interop::with_each_sdk!(tool_definitions_are_those_of_the_host,);

async fn tool_definitions_are_those_of_the_host(sdk: Sdk) {
    let test = TestMesh::start().await;
    let names = ["translate", "noon", "nlp.summarizer"];
    let mut python = test.python_host(sdk, &names).await;
    for name in names {
        let mut theirs = python.ask("tools", json!({"name": name})).await.unwrap();
        let contract = test.mesh.contract(name).await.unwrap();
        let openai = |api, strict| contract.to_openai_tool(api, strict).unwrap();
        let mut ours = json!({
            "neutral": contract.to_tool().unwrap(),
            "anthropic": contract.to_anthropic_tool().unwrap(),
            "chat": openai(OpenAiApi::Chat, false),
            "chat_strict": openai(OpenAiApi::Chat, true),
            "responses": openai(OpenAiApi::Responses, false),
            "responses_strict": openai(OpenAiApi::Responses, true),
        });
        if name == "nlp.summarizer" {
            // Strict schemas of Python end at references, which strict mode refuses.
            for tools in [&mut ours, &mut theirs] {
                tools
                    .as_object_mut()
                    .unwrap()
                    .retain(|kind, _| !kind.ends_with("strict"));
            }
            if !sdk.has_dotted_names() {
                // 0.1.5 identifies its own agent by the last segment.
                for pointer in [
                    "/neutral/name",
                    "/anthropic/name",
                    "/chat/function/name",
                    "/responses/name",
                ] {
                    let name = theirs.pointer_mut(pointer).unwrap();
                    assert_eq!(name, "summarizer");
                    *name = json!("nlp_summarizer");
                }
            }
        }
        // Without `strict`, the Responses API would make the tool strict.
        let loose = ours["responses"].as_object_mut().unwrap();
        assert_eq!(loose.remove("strict"), Some(json!(false)));
        for (kind, tool) in theirs.as_object().unwrap() {
            if kind.ends_with("strict") {
                remove_restrictions(&mut ours[kind]);
            }
            assert_eq!(&ours[kind], tool, "{kind} of {name}");
        }
        assert_eq!(
            ours.as_object().unwrap().len(),
            theirs.as_object().unwrap().len()
        );
    }
}

/// Removes the restrictions of values that strict schemas have, and that the Python SDK drops.
fn remove_restrictions(tool: &mut Value) {
    match tool {
        Value::Object(fields) => {
            let is_schema = fields.get("type").is_some_and(|kind| kind != "function");
            if is_schema {
                for keyword in ["maxItems", "maximum", "minItems", "minimum", "pattern"] {
                    fields.remove(keyword);
                }
            }
            fields.values_mut().for_each(remove_restrictions);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_restrictions),
        _ => {}
    }
}
