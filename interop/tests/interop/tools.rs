//! Tool definitions of a Python agent, in Rust and in its own process.

use interop::Sdk;
use openagentmesh::protocol::tool::OpenAiApi;
use serde_json::json;

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
        for (kind, tool) in theirs.as_object().unwrap() {
            assert_eq!(&ours[kind], tool, "{kind} of {name}");
        }
        assert_eq!(
            ours.as_object().unwrap().len(),
            theirs.as_object().unwrap().len()
        );
    }
}
