//! Registering, finding and deregistering agents.

use crate::support::{TestMesh, echo, eventually};
use openagentmesh::{AgentSpec, ErrorCode, agent, agents};
use serde_json::{Value, json};

/// Adds two numbers.
#[agent(tags = ["math"])]
async fn add((a, b): (i64, i64)) -> i64 {
    a + b
}

fn named(name: &str) -> openagentmesh::Agent {
    AgentSpec::new(name, "Does nothing.").handler(|(): ()| async {})
}

#[tokio::test]
async fn registered_agent_is_listed_with_its_contract() {
    let test = TestMesh::start().await;
    assert!(
        test.mesh.catalog().fresh().await.unwrap().is_empty(),
        "the bucket does not exist yet"
    );
    test.mesh.register(agents![add]).await.unwrap();

    let caller = test.peer().await;
    let catalog = caller.catalog().fresh().await.unwrap();
    assert_eq!(
        serde_json::to_value(&catalog).unwrap(),
        json!([{
            "name": "add", "description": "Adds two numbers.", "version": "0.1.0",
            "tags": ["math"], "invocable": true, "streaming": false,
        }])
    );
    let contract = caller.contract("add").await.unwrap();
    assert_eq!(contract.output_schema.as_ref().unwrap()["type"], "integer");
    let input = contract.input_schema.as_ref().unwrap();
    assert_eq!(input["prefixItems"].as_array().unwrap().len(), 2);
    let registered_at = contract.registered_at.clone().unwrap();
    assert_eq!(
        registered_at.len(),
        "2026-11-22T04:35:00.854160+00:00".len(),
        "{registered_at}"
    );
    assert!(registered_at.ends_with("+00:00"), "{registered_at}");

    let error = caller.contract("nosuch").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

#[tokio::test]
async fn registration_with_one_invalid_name_registers_nothing() {
    let test = TestMesh::start().await;
    let error = test
        .mesh
        .register([echo(), named("finance.risk score.x")])
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert!(error.message().contains("'risk score'"), "{error}");
    assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
    assert_eq!(
        test.mesh
            .call::<Value>("echo", "x")
            .await
            .unwrap_err()
            .code(),
        &ErrorCode::NotFound
    );
}

#[tokio::test]
async fn duplicate_name_in_a_process_is_refused() {
    let test = TestMesh::start().await;
    for agents in [vec![echo(), echo()], vec![]] {
        if agents.is_empty() {
            test.mesh.register(echo()).await.unwrap();
        }
        let error = test
            .mesh
            .register(if agents.is_empty() {
                vec![echo()]
            } else {
                agents
            })
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput);
        assert!(error.message().contains("'echo'"), "{error}");
    }
    assert_eq!(test.mesh.catalog().fresh().await.unwrap().len(), 1);
}

/// `mesh.agent.market.events` is the subject of the events of agent `market`.
#[tokio::test]
async fn name_that_ends_in_events_is_refused() {
    let test = TestMesh::start().await;
    let error = test
        .mesh
        .register(named("market.events"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert!(error.message().contains("'market'"), "{error}");
    test.mesh.register(named("events")).await.unwrap();
}

#[tokio::test]
async fn deregistered_agent_is_not_found() {
    let test = TestMesh::start().await;
    test.mesh.register([echo(), named("other")]).await.unwrap();
    let error = test.mesh.deregister(["echo", "nosuch"]).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    assert_eq!(
        test.mesh.catalog().fresh().await.unwrap().len(),
        2,
        "a failed deregistration removed an agent"
    );

    test.mesh.deregister(["echo"]).await.unwrap();
    let names: Vec<_> = test
        .mesh
        .catalog()
        .fresh()
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["other"]);
    assert_eq!(
        test.mesh.contract("echo").await.unwrap_err().code(),
        &ErrorCode::NotFound
    );
    let error = test.mesh.call::<Value>("echo", "x").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);

    test.mesh.register(echo()).await.unwrap();
    assert_eq!(
        test.mesh.call::<String>("echo", "again").await.unwrap(),
        "Echo: again"
    );
}

#[tokio::test]
async fn oversized_registration_registers_nothing() {
    let test = TestMesh::with_max_payload(4 * 1024).await;
    test.mesh.register(echo()).await.unwrap();
    let many: Vec<_> = (0..60).map(|i| named(&format!("bulk.agent-{i}"))).collect();
    let error = test.mesh.register(many).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::PayloadTooLarge);
    assert!(error.message().contains("max_payload"), "{error}");

    assert_eq!(test.mesh.catalog().fresh().await.unwrap().len(), 1);
    let error = test.mesh.contract("bulk.agent-0").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    let error = test
        .mesh
        .call::<Value>("bulk.agent-0", ())
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    assert_eq!(
        test.mesh.call::<String>("echo", "alive").await.unwrap(),
        "Echo: alive"
    );
}

#[tokio::test]
async fn registration_keeps_foreign_catalog_entries() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let foreign = r#"{"name":"theirs","description":"","cost":1.10,"x":{"y":[]}},7"#;
    store
        .put("catalog", format!("[{foreign}]").into())
        .await
        .unwrap();

    test.mesh.register(named("ours")).await.unwrap();
    let text = store.get("catalog").await.unwrap().unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.starts_with(&format!("[{foreign},")), "{text}");
    assert!(text.contains(r#""name":"ours""#));
}

#[tokio::test]
async fn malformed_catalog_without_a_host_is_an_error_until_a_registration() {
    let test = TestMesh::start().await;
    test.mesh.create_buckets().await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let malformed = "{\"not\": \"an array\"}";
    store.put("catalog", malformed.into()).await.unwrap();
    let newcomer = test.peer().await;
    for query in [newcomer.catalog(), newcomer.catalog().fresh()] {
        let error = query.await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
        assert!(error.message().contains("malformed catalog: "), "{error}");
    }
    let problem = newcomer.catalog().problem().await.unwrap().unwrap();
    assert_eq!(problem.code(), &ErrorCode::StorageError);
    // Readers do not write.
    let value = store.get("catalog").await.unwrap().unwrap();
    assert_eq!(&value[..], malformed.as_bytes());
    newcomer.register(named("other")).await.unwrap();
    assert_eq!(newcomer.catalog().fresh().await.unwrap().len(), 1);
    assert!(newcomer.catalog().problem().await.unwrap().is_none());
}

#[tokio::test]
async fn malformed_catalog_is_repaired_on_request() {
    let test = TestMesh::start().await;
    test.mesh.create_buckets().await.unwrap();
    assert!(!test.mesh.repair_catalog().await.unwrap());
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let valid = r#"[{"name":"python"}]"#;
    store.put("catalog", valid.into()).await.unwrap();
    assert!(!test.mesh.repair_catalog().await.unwrap());
    eventually(|| async { (test.mesh.catalog().await.unwrap().len() == 1).then_some(()) }).await;
    for malformed in ["null", "7"] {
        store.put("catalog", malformed.into()).await.unwrap();
        assert!(test.mesh.repair_catalog().await.unwrap());
        // Hosts of the published SDKs do not list their agents again.
        let value = store.get("catalog").await.unwrap().unwrap();
        assert_eq!(&value[..], valid.as_bytes());
    }
    let newcomer = test.peer().await;
    store.put("catalog", "null".into()).await.unwrap();
    assert!(newcomer.repair_catalog().await.unwrap());
}

#[tokio::test]
async fn two_hosts_of_one_agent_share_its_requests() {
    let test = TestMesh::start().await;
    let (first, second) = (test.peer().await, test.peer().await);
    for (host, id) in [(&first, 1u32), (&second, 2)] {
        let who = AgentSpec::new("who", "Replies with the number of its host.");
        host.register(who.handler(move || async move { id }))
            .await
            .unwrap();
    }
    assert_eq!(test.mesh.catalog().fresh().await.unwrap().len(), 1);
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..100 {
        answers.insert(test.mesh.call::<u32>("who", ()).await.unwrap());
    }
    assert_eq!(answers.len(), 2, "100 requests reached one host only");
}
