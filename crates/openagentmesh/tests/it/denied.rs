//! Operations for which the user lacks permission: each fails at once and names the subject.

use std::future::IntoFuture;

use futures::{FutureExt, stream};
use openagentmesh::{AgentMesh, AgentSpec, Error, ErrorCode, KvChange};

use crate::support::secured::SecuredServer;
use crate::support::{echo, eventually, within};

/// A server with JetStream, a user without restrictions, and a restricted one.
struct Restricted {
    server: SecuredServer,
    /// The connection of the user without restrictions.
    admin: AgentMesh,
}

impl Restricted {
    /// `permissions` are those of the restricted user, in the syntax of the server's configuration.
    async fn start(permissions: &str) -> Self {
        let server = SecuredServer::restricted(permissions).await;
        let admin = AgentMesh::builder()
            .url(server.url())
            .user_and_password("admin", "pw");
        let admin = eventually(|| admin.clone().connect().map(Result::ok)).await;
        Self { server, admin }
    }

    /// Serves "echo" and "count" as the user without restrictions.
    async fn with_agents(permissions: &str) -> Self {
        let restricted = Self::start(permissions).await;
        let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
        within(restricted.admin.register([echo(), count]))
            .await
            .unwrap();
        restricted
    }

    /// A connection of the restricted user.
    async fn user(&self) -> AgentMesh {
        let builder = AgentMesh::builder()
            .url(self.server.url())
            .user_and_password("ann", "pw");
        within(builder.connect()).await.unwrap()
    }
}

/// The error of an operation that the server denies, on a subject that begins with `subject`.
async fn denied<T>(what: &str, subject: &str, work: impl IntoFuture<Output = Result<T, Error>>) {
    let error = match within(work).await {
        Ok(_) => panic!("{what} is permitted"),
        Err(error) => error,
    };
    assert_eq!(
        error.code(),
        &ErrorCode::ConnectionDenied,
        "{what}: {error}"
    );
    let named = error.details()["subject"].as_str().unwrap();
    assert!(named.starts_with(subject), "{what}: {error}");
    assert!(error.message().contains(named), "{what}: {error}");
}

/// The error with which the reply of `send` arrives.
async fn error_of_send(mesh: &AgentMesh) -> Result<(), Error> {
    let (failed, error) = tokio::sync::oneshot::channel();
    mesh.send("echo", "x")
        .on_reply(|_: String| async {})
        .on_error(|error| async {
            failed.send(error).unwrap();
        })
        .await?;
    Err(error.await.unwrap())
}

#[tokio::test]
async fn denied_request_fails_in_every_verb_at_once() {
    let server =
        Restricted::with_agents("publish: { deny: [\"mesh.agent.echo\", \"mesh.agent.count\"] }")
            .await;
    let mesh = server.user().await;
    let subject = "mesh.agent.echo";
    denied("call", subject, mesh.call::<String>("echo", "x")).await;
    denied("second call", subject, mesh.call::<String>("echo", "x")).await;
    denied("send", subject, mesh.send("echo", "x")).await;
    denied("second send", subject, mesh.send("echo", "x")).await;
    let to = mesh.send("echo", "x").reply_to("results.here");
    denied("reply_to", subject, to).await;
    let reply = within(mesh.send("echo", "x").reply::<String>()).await;
    denied("reply", subject, reply.unwrap()).await;
    denied("on_error", subject, error_of_send(&mesh)).await;
    let chunks = within(mesh.stream::<u32>("count", 3)).await.unwrap();
    let first = async { { chunks }.next().await.unwrap() };
    denied("stream", "mesh.agent.count", first).await;
}

#[tokio::test]
async fn denied_publish_fails_and_others_are_published() {
    let server = Restricted::start("publish: { deny: \"secret.>\" }").await;
    let mesh = server.user().await;
    let mut events = within(server.admin.subscribe_subject::<u32>("open.>"))
        .await
        .unwrap();
    for number in 0..3 {
        denied("publish", "secret.a", mesh.publish("secret.a", 1)).await;
        within(mesh.publish("open.a", number)).await.unwrap();
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, number);
    }
}

#[tokio::test]
async fn user_who_may_only_publish_publishes() {
    let server =
        Restricted::start("publish: { allow: \"open.>\" }, subscribe: { deny: \">\" }").await;
    let mesh = server.user().await;
    let mut events = within(server.admin.subscribe_subject::<u32>("open.>"))
        .await
        .unwrap();
    for number in 0..3 {
        within(mesh.publish("open.a", number)).await.unwrap();
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, number);
    }
    denied("publish", "secret", mesh.publish("secret", 1)).await;
}

#[tokio::test]
async fn denied_subscription_of_an_agent_fails_its_registration() {
    let server = Restricted::start("subscribe: { deny: \"mesh.agent.>\" }").await;
    let mesh = server.user().await;
    denied("register", "mesh.agent.echo", mesh.register([echo()])).await;
    let listed = within(server.admin.catalog().fresh()).await.unwrap();
    assert!(listed.is_empty(), "{listed:?}");
    let contract = within(server.admin.contract("echo")).await.unwrap_err();
    assert_eq!(contract.code(), &ErrorCode::NotFound);
}

#[tokio::test]
async fn registration_that_may_not_be_written_fails_and_lists_nothing() {
    for bucket in ["mesh-catalog", "mesh-registry"] {
        let permissions = format!("publish: {{ deny: \"$KV.{bucket}.>\" }}");
        let server = Restricted::start(&permissions).await;
        let mesh = server.user().await;
        let subject = format!("$KV.{bucket}.");
        denied("register", &subject, mesh.register([echo()])).await;
        let listed = within(server.admin.catalog().fresh()).await.unwrap();
        assert!(listed.is_empty(), "{listed:?}");
    }
}

#[tokio::test]
async fn denied_subscriptions_of_verbs_fail_at_once() {
    let server = Restricted::with_agents(
        "subscribe: { deny: [\"mesh.stream.>\", \"mesh.results.>\", \"news.>\"] }",
    )
    .await;
    let mesh = server.user().await;
    let subscribed = mesh.subscribe_subject::<u32>("news.today");
    denied("subscribe", "news.today", subscribed).await;
    denied("on_error", "mesh.results.", error_of_send(&mesh)).await;
    let chunks = within(mesh.stream::<u32>("count", 3)).await.unwrap();
    let first = async { { chunks }.next().await.unwrap() };
    denied("stream", "mesh.stream.", first).await;
    let reply: String = within(mesh.call("echo", "x")).await.unwrap();
    assert_eq!(reply, "Echo: x");
}

#[tokio::test]
async fn denied_inbox_fails_everything_that_waits_for_a_reply() {
    let server = Restricted::with_agents("subscribe: { deny: \"_INBOX.>\" }").await;
    let mesh = server.user().await;
    let inbox = "_INBOX.";
    for _ in 0..2 {
        denied("call", inbox, mesh.call::<String>("echo", "x")).await;
        denied("put", inbox, mesh.kv().put("key", "value")).await;
        denied("get", inbox, mesh.kv().get("key")).await;
        denied("upload", inbox, mesh.workspace().put("file", "x")).await;
        denied("list", inbox, mesh.workspace().list("")).await;
        denied("catalog", inbox, mesh.catalog()).await;
        denied("wait_for", inbox, mesh.wait_for("absent")).await;
        denied("register", inbox, mesh.register([echo()])).await;
    }
}

#[tokio::test]
async fn stream_whose_credit_is_denied_ends() {
    let server = Restricted::with_agents("publish: { deny: \"_INBOX.>\" }").await;
    let mesh = server.user().await;
    let mut chunks = within(mesh.stream::<u32>("count", 10_000).window(4))
        .await
        .unwrap();
    let end = async {
        while let Some(chunk) = chunks.next().await {
            chunk?;
        }
        Ok::<_, Error>(())
    };
    denied("credit", "_INBOX.", end).await;
}

#[tokio::test]
async fn denied_keys_fail_and_others_are_used() {
    let server = Restricted::start("publish: { deny: \"$KV.mesh-context.secret\" }").await;
    let mesh = server.user().await;
    let kv = mesh.kv();
    let subject = "$KV.mesh-context.secret";
    let mut changes = within(kv.watch(">")).await.unwrap();
    for number in 0..3 {
        let (refused, written) = futures::join!(
            denied("put", subject, kv.put("secret", "x")),
            within(kv.put("open", format!("{number}")))
        );
        let () = refused;
        written.unwrap();
        let change = within(changes.next()).await.unwrap().unwrap();
        assert!(matches!(change, KvChange::Put(entry) if entry.key == "open"));
    }
    denied("create", subject, kv.create("secret", "x")).await;
    denied("delete", subject, kv.delete("secret")).await;
    denied("purge", subject, kv.purge("secret")).await;
    assert!(within(kv.get("secret")).await.unwrap().is_none());
}

#[tokio::test]
async fn denied_reads_watches_and_buckets_fail() {
    let read = "$JS.API.STREAM.MSG.GET.KV_mesh-context";
    let consume = "$JS.API.CONSUMER.CREATE.KV_mesh-context";
    let server = Restricted::start(&format!(
        "publish: {{ deny: [\"{read}\", \"{consume}.>\", \"{consume}\"] }}"
    ))
    .await;
    let mesh = server.user().await;
    let kv = mesh.kv();
    within(kv.put("key", "value")).await.unwrap();
    denied("get", read, kv.get("key")).await;
    // Without a consumer, the values are read one by one.
    denied("list", read, kv.list(">")).await;
    denied("watch", read, kv.watch(">")).await;

    let info = "$JS.API.STREAM.INFO.";
    let server = Restricted::start(&format!("publish: {{ deny: \"{info}>\" }}")).await;
    let mesh = server.user().await;
    denied("put", info, mesh.kv().put("key", "value")).await;
    denied("upload", info, mesh.workspace().put("file", "x")).await;
    denied("register", info, mesh.register([echo()])).await;
}

#[tokio::test]
async fn denied_files_fail() {
    let chunks = "$O.mesh-artifacts.C.";
    let consume = "$JS.API.CONSUMER.CREATE.OBJ_mesh-artifacts";
    let read = "$JS.API.STREAM.MSG.GET.OBJ_mesh-artifacts";
    let direct = "$JS.API.DIRECT.GET.OBJ_mesh-artifacts";
    let server = Restricted::start(&format!(
        "publish: {{ deny: [\"{chunks}>\", \"{consume}.>\", \"{consume}\", \"{read}\", \"{direct}.>\"] }}"
    ))
    .await;
    let large = vec![7; 300_000];
    within(server.admin.workspace().put("file", large.clone()))
        .await
        .unwrap();
    let mesh = server.user().await;
    let files = mesh.workspace();
    denied("put", chunks, files.put("other", large)).await;
    denied("get", direct, files.get("file")).await;
    denied("list", read, files.list("")).await;

    let meta = "$O.mesh-artifacts.M.";
    let server = Restricted::start(&format!("publish: {{ deny: \"{meta}>\" }}")).await;
    let mesh = server.user().await;
    denied("metadata", meta, mesh.workspace().put("file", "x")).await;
}

#[tokio::test]
async fn denied_requests_for_chunks_fail() {
    let next = "$JS.API.CONSUMER.MSG.NEXT.OBJ_mesh-artifacts.";
    let server = Restricted::start(&format!("publish: {{ deny: \"{next}>\" }}")).await;
    let upload = server.admin.workspace().put("file", vec![7; 300_000]);
    within(upload).await.unwrap();
    let mesh = server.user().await;
    denied("get", next, mesh.workspace().get("file")).await;
}

/// More values than the server sends without an answer to its flow control.
#[tokio::test]
async fn denied_flow_control_fails_a_list() {
    let subject = "$JS.FC.KV_mesh-context.";
    let server = Restricted::start(&format!("publish: {{ deny: \"{subject}>\" }}")).await;
    let kv = server.admin.kv();
    let value = "x".repeat(800_000);
    for number in 0..60 {
        within(kv.put(format!("key{number}"), value.as_str()))
            .await
            .unwrap();
    }
    let mesh = server.user().await;
    denied("list", subject, mesh.kv().list(">")).await;
}

/// The publisher is restarted after each denial; its dead letters say why.
#[tokio::test]
async fn publisher_whose_events_are_denied_fails() {
    let server = Restricted::start("publish: { deny: \"mesh.agent.ticker.events\" }").await;
    let mut letters = within(
        server
            .admin
            .subscribe_subject::<serde_json::Value>("mesh.errors.ticker"),
    )
    .await
    .unwrap();
    let mesh = server.user().await;
    let ticker = AgentSpec::new("ticker", "Ticks.").handler(|| stream::iter(0_u32..));
    within(mesh.register([ticker])).await.unwrap();
    let letter = within(letters.next()).await.unwrap().unwrap();
    assert_eq!(letter.data["code"], "connection_denied");
}

/// The permissions that the page on security of the book names.
#[tokio::test]
async fn permissions_of_the_guide_suffice_to_call_and_to_serve() {
    const GUIDE: &str = include_str!("../../../../docs/concepts/security.md");
    let permissions = |user: &str| {
        let row = GUIDE
            .lines()
            .find(|line| line.starts_with(&format!("| {user}")));
        let cells: Vec<&str> = row.unwrap().split(" | ").collect();
        let subjects = |cell: &str| {
            let quoted = cell.split('`').skip(1).step_by(2);
            quoted
                .map(|s| format!("{s:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!(
            "publish: {{ allow: [{}] }}, subscribe: {{ allow: [{}] }}",
            subjects(cells[1]),
            subjects(cells[2])
        )
    };
    let server = Restricted::with_agents(&permissions("caller")).await;
    let caller = server.user().await;
    let reply: String = within(caller.call("echo", "x")).await.unwrap();
    assert_eq!(reply, "Echo: x");
    assert_eq!(within(caller.catalog()).await.unwrap().len(), 2);
    within(caller.contract("echo")).await.unwrap();

    let server = Restricted::start(&permissions("host")).await;
    let host = server.user().await;
    within(host.register(echo())).await.unwrap();
    let reply: String = within(server.admin.call("echo", "x")).await.unwrap();
    assert_eq!(reply, "Echo: x");
    within(host.shutdown()).await.unwrap();
    assert!(
        within(server.admin.catalog().fresh())
            .await
            .unwrap()
            .is_empty()
    );
}

/// The permissions of a host may name no inbox: the server then permits replies only.
#[tokio::test]
async fn host_with_allowed_responses_replies() {
    let server = Restricted::start(
        "publish: { allow: [\"$JS.API.>\", \"$KV.mesh-catalog.>\", \"$KV.mesh-registry.>\"] }, \
         allow_responses: true",
    )
    .await;
    let host = server.user().await;
    within(host.register(echo())).await.unwrap();
    let reply: String = within(server.admin.call("echo", "x")).await.unwrap();
    assert_eq!(reply, "Echo: x");
}
