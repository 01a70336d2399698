//! The tokens of users in the names of their subjects.

use futures::{StreamExt, stream};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};

use crate::support::operator::Operator;
use crate::support::secured::SecuredServer;
use crate::support::{TestMesh, echo, eventually, subscribed, within};

async fn user(test: &TestMesh, token: &str) -> AgentMesh {
    let builder = AgentMesh::builder().url(test.server.url()).user(token);
    within(builder.connect()).await.unwrap()
}

#[tokio::test]
async fn subjects_of_a_user_begin_with_the_token() {
    let test = TestMesh::start().await;
    let (host, caller) = (user(&test, "bob").await, user(&test, "ann").await);
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    within(host.register([echo(), count])).await.unwrap();
    assert!(host.instance_id().as_str().starts_with("bob."));
    let raw = test.raw().await;
    let mut requests = subscribed(&raw, "mesh.agent.>").await;
    let reply: String = within(caller.call("echo", "x")).await.unwrap();
    assert_eq!(reply, "Echo: x");
    let request = within(requests.next()).await.unwrap();
    assert!(request.reply.unwrap().starts_with("_INBOX.ann."));
    let mut chunks = within(caller.stream::<u32>("count", 3)).await.unwrap();
    while let Some(chunk) = within(chunks.next()).await {
        chunk.unwrap();
    }
    let request = within(requests.next()).await.unwrap();
    let headers = request.headers.unwrap();
    let id = headers.get("X-Mesh-Request-Id").unwrap().to_string();
    assert!(id.starts_with("ann.") && id.split('.').count() == 3, "{id}");
    let (replied, reply) = tokio::sync::oneshot::channel();
    let sent = caller.send("echo", "x").on_reply(|text: String| async {
        replied.send(text).unwrap();
    });
    within(sent).await.unwrap();
    assert_eq!(within(reply).await.unwrap(), "Echo: x");
    let request = within(requests.next()).await.unwrap();
    assert!(request.reply.unwrap().starts_with("mesh.results.ann."));
    let instances = within(caller.instances()).await.unwrap();
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].id, *host.instance_id());
}

/// Callers and the monitor of another process learn of the death of an instance with a token.
#[tokio::test]
async fn death_of_an_instance_with_a_token_is_announced() {
    let test = TestMesh::start().await;
    within(
        test.mesh
            .register(AgentSpec::new("other", "").handler(|| async { 1 })),
    )
    .await
    .unwrap();
    let host = user(&test, "bob").await;
    within(host.register(echo())).await.unwrap();
    let raw = test.raw().await;
    let mut downs = subscribed(&raw, "mesh.instance.*.*.down").await;
    let id = host.instance_id().to_string();
    // Ends without leaving: the record stays.
    let record = async_nats::jetstream::new(test.raw().await)
        .get_key_value("mesh-instances")
        .await
        .unwrap();
    let stored = record.get(id.as_str()).await.unwrap().unwrap();
    within(host.shutdown()).await.unwrap();
    record.put(id.as_str(), stored).await.unwrap();
    let down = within(downs.next()).await.unwrap();
    assert_eq!(down.subject.as_str(), format!("mesh.instance.{id}.down"));
    eventually(|| async {
        let instances = within(test.mesh.instances()).await.unwrap();
        (instances.len() == 1).then_some(())
    })
    .await;
}

/// A host sees the reply subject of one request, and cannot answer another one.
#[tokio::test]
async fn reply_subjects_of_a_process_do_not_follow_from_each_other() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let mut requests = subscribed(&raw, "mesh.agent.quiet").await;
    let quiet = AgentSpec::new("quiet", "").handler(|text: String| async move { text });
    within(test.mesh.register(quiet)).await.unwrap();
    let caller = test.peer().await;
    let mut replies = Vec::new();
    for _ in 0..20 {
        let _: String = within(caller.call("quiet", "x")).await.unwrap();
        let reply = within(requests.next()).await.unwrap().reply.unwrap();
        let token = reply.rsplit('.').next().unwrap().to_owned();
        let (number, hash) = token.split_once('-').unwrap();
        assert_eq!(hash.len(), 16);
        assert!(number.parse::<u64>().is_ok());
        replies.push(hash.to_owned());
    }
    replies.sort_unstable();
    replies.dedup();
    assert_eq!(replies.len(), 20);
}

/// The tag of a JWT has the token. Another option replaces it.
#[tokio::test]
async fn token_is_read_from_the_credentials() {
    let operator = Operator::generate();
    let server = SecuredServer::start(operator.configuration()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ann.creds");
    let tags = ["mesh-role:invoker", "mesh-user:ann"];
    let credentials = operator.credentials_with_tags(&tags, "_INBOX.ann.>");
    std::fs::write(&file, credentials).unwrap();
    let builder = AgentMesh::builder().url(server.url()).credentials(&file);
    let mesh = within(builder.clone().connect()).await.unwrap();
    assert!(mesh.instance_id().as_str().starts_with("ann."));
    // A question whose answer arrives on the inbox.
    let error = within(mesh.call::<String>("absent", "x"))
        .await
        .unwrap_err();
    assert_ne!(error.code(), &ErrorCode::ConnectionDenied, "{error}");
    let mesh = within(builder.user("bob").connect()).await.unwrap();
    assert!(mesh.instance_id().as_str().starts_with("bob."));
    let error = within(mesh.call::<String>("absent", "x"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionDenied, "{error}");
}

#[tokio::test]
async fn token_that_is_not_one_segment_is_refused() {
    let test = TestMesh::start().await;
    for token in ["", "a.b", "*", ">", "a b", &"x".repeat(49)] {
        let builder = AgentMesh::builder().url(test.server.url()).user(token);
        let error = within(builder.connect()).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration, "{token:?}");
        assert_eq!(error.details()["option"], "user", "{token:?}");
    }
}
