//! The five shapes, told apart by what a function takes and gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::TestMesh;
use futures::stream;
use openagentmesh::handler::Background;
use openagentmesh::{Agent, AgentSpec, ErrorCode, Shape};

fn spec() -> AgentSpec {
    AgentSpec::new("x", "Does something.")
}

async fn respond(number: u32) -> u32 {
    number
}

fn count(to: u32) -> impl stream::Stream<Item = u32> {
    stream::iter(0..to)
}

/// Every shape as a closure or a function, with an output and with a `Result` of one.
fn all() -> Vec<(Agent, Shape)> {
    vec![
        (spec().handler(respond), Shape::Responder),
        (spec().handler(|n: u32| async move { n }), Shape::Responder),
        (
            spec().handler(|n: u32| async move { std::io::Result::Ok(n) }),
            Shape::Responder,
        ),
        (spec().handler(|_: u32| async {}), Shape::Responder),
        (spec().handler(count), Shape::Streamer),
        (spec().handler(|n: u32| stream::iter(0..n)), Shape::Streamer),
        (
            spec().handler(|n: u32| stream::iter([std::io::Result::Ok(n)])),
            Shape::Streamer,
        ),
        (
            spec().result_handler(|n: u32| stream::iter([Ok::<_, String>(n)])),
            Shape::Streamer,
        ),
        (spec().handler(|| async { 1 }), Shape::Trigger),
        (
            spec().result_handler(|| async { Ok::<_, String>(1) }),
            Shape::Trigger,
        ),
        (spec().handler(|| stream::iter([1, 2])), Shape::Publisher),
        (
            spec().handler(|| stream::iter([std::io::Result::Ok(1)])),
            Shape::Publisher,
        ),
        (spec().handler(Background(|| async {})), Shape::Watcher),
    ]
}

#[test]
fn the_shape_is_inferred_and_its_contract_is_that_of_the_protocol() {
    for (index, (agent, shape)) in all().into_iter().enumerate() {
        assert_eq!(agent.shape(), shape, "number {index}");
        let contract = agent.contract().unwrap();
        assert_eq!(contract.capabilities, shape.capabilities());
        let takes = matches!(shape, Shape::Responder | Shape::Streamer);
        assert_eq!(contract.input_schema.is_some(), takes, "number {index}");
        let streams = matches!(shape, Shape::Streamer | Shape::Publisher);
        assert_eq!(contract.chunk_schema.is_some(), streams, "number {index}");
        assert!(
            !(streams && contract.output_schema.is_some()),
            "number {index}"
        );
    }
}

#[tokio::test]
async fn a_shape_that_is_not_served_is_refused_by_its_name() {
    let test = TestMesh::start().await;
    for (agent, shape) in all() {
        if matches!(shape, Shape::Responder | Shape::Trigger) {
            continue;
        }
        let error = test.mesh.register(agent).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput);
        assert!(
            error.message().contains(&format!("is a {shape}")),
            "{error}"
        );
    }
    assert!(test.mesh.catalog().await.unwrap().is_empty());
}
