//! Lost connections: requests end in time and are not sent later; watches and transfers continue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Alive, Proxy, TestMesh, echo, eventually, stands_still, subscribed, within};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt, stream};
use openagentmesh::{
    AgentMesh, AgentSpec, CatalogChange, ConnectionState, ErrorCode, KvChange, ObjectChange, Result,
};
use openagentmesh_local::LocalServer;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const SHORT: Duration = Duration::from_millis(300);

/// One request of each kind with a short timeout, each of which ends with an error.
fn requests(mesh: &AgentMesh) -> Vec<(&'static str, BoxFuture<'static, Result<()>>)> {
    let call = mesh.call::<String>("echo", "x").timeout(SHORT);
    let stream = mesh.stream::<u32>("count", 3).timeout(SHORT);
    let send = mesh.send("echo", "x").timeout(SHORT);
    let reply = mesh.send("echo", "x").timeout(SHORT).reply::<String>();
    let (failed, error) = tokio::sync::oneshot::channel();
    let on_error = mesh.send("echo", "x").timeout(SHORT).on_error(|error| {
        failed.send(error).unwrap();
        std::future::ready(())
    });
    vec![
        ("call", async { call.await.map(drop) }.boxed()),
        (
            "stream",
            async { stream.await?.next().await.unwrap().map(drop) }.boxed(),
        ),
        // A server that is stopped does not confirm the message.
        ("send", async { send.await.and(Err(lost())) }.boxed()),
        ("reply", async { reply.await?.await.map(drop) }.boxed()),
        (
            "on_error",
            async {
                on_error.await?;
                Err(error.await.unwrap())
            }
            .boxed(),
        ),
    ]
}

fn lost() -> openagentmesh::Error {
    openagentmesh::Error::new(ErrorCode::Timeout, "the message is on its way")
}

async fn is_lost(mesh: &AgentMesh) {
    let mut states = mesh.status_changes();
    while within(states.next()).await != Some(ConnectionState::Lost) {}
}

pub(crate) async fn all_fail(mesh: &AgentMesh, times: usize, code: &ErrorCode) {
    let requests = (0..times).flat_map(|_| requests(mesh));
    let ended = join_all(requests.map(|(verb, request)| async move { (verb, request.await) }));
    for (verb, result) in within(ended).await {
        let error = result.expect_err(verb);
        assert_eq!(error.code(), code, "{verb}: {error}");
    }
}

#[tokio::test]
async fn errors_while_the_connection_is_lost_name_the_loss() {
    let server = LocalServer::start().await.unwrap();
    let mesh = AgentMesh::connect(server.url()).await.unwrap();
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    mesh.register([echo(), count]).await.unwrap();
    mesh.kv().put("key", "value").await.unwrap();
    mesh.workspace().put("file", "content").await.unwrap();
    let mut events = within(mesh.subscribe_subject::<u32>("news").timeout(SHORT * 2))
        .await
        .unwrap();
    server.stop().await.unwrap();
    eventually(|| async {
        let error = mesh.call::<String>("echo", "x").timeout(SHORT / 3).await;
        let error = error.unwrap_err();
        error.message().contains("has been lost for").then_some(())
    })
    .await;

    let other = |name, work: BoxFuture<'static, Result<()>>| (name, work);
    let (kv, files, client) = (mesh.kv(), mesh.workspace(), mesh.clone());
    let waiting = mesh.wait_for("absent").timeout(SHORT);
    let subscribing = mesh.subscribe_subject::<u32>("other");
    let all = requests(&mesh).into_iter().chain([
        other("kv", async move { kv.get("key").await.map(drop) }.boxed()),
        other(
            "get",
            async move { files.get("file").await.map(drop) }.boxed(),
        ),
        other(
            "put",
            async move { client.workspace().put("new", "x").await.map(drop) }.boxed(),
        ),
        other("wait_for", async { waiting.await.map(drop) }.boxed()),
        other("subscribe", async { subscribing.await.map(drop) }.boxed()),
        other(
            "events",
            async move { events.next().await.unwrap().map(drop) }.boxed(),
        ),
    ]);
    let ended = join_all(all.map(|(name, work)| async move { (name, work.await) }));
    for (name, result) in within(ended).await {
        let error = result.expect_err(name);
        let is_named = error.message().contains("has been lost for");
        assert!(is_named, "{name}: {error}");
    }
}

#[tokio::test]
async fn requests_without_a_server_fail_in_time() {
    let server = LocalServer::start().await.unwrap();
    let mesh = AgentMesh::connect(server.url()).await.unwrap();
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    mesh.register([echo(), count]).await.unwrap();
    assert_eq!(mesh.call::<String>("echo", "x").await.unwrap(), "Echo: x");
    server.stop().await.unwrap();

    // More requests than the command buffer of the client holds.
    is_lost(&mesh).await;
    all_fail(&mesh, 1000, &ErrorCode::ConnectionFailed).await;
    let subscription = mesh.subscribe_subject::<u32>("numbers");
    let error = within(subscription).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
    let left = within(mesh.shutdown()).await;
    assert!(left.is_err(), "the agents stay listed without an error");
}

/// The text in every message that must not arrive.
const GIVEN_UP: &str = "given-up";

#[tokio::test]
async fn requests_given_up_while_the_connection_is_lost_are_never_sent() {
    let test = TestMesh::start().await;
    let count = AgentSpec::new("count", "Counts.").handler(|_: String| stream::iter(0..3));
    test.mesh.register([echo(), count]).await.unwrap();
    let proxy = Proxy::start(&test).await;
    let caller = AgentMesh::connect(&proxy.url).await.unwrap();
    // Warms the cache of the catalog, the subscriptions and the buckets.
    let called = caller.call::<String>("echo", "x").await;
    assert_eq!(called.unwrap(), "Echo: x");
    caller.kv().put("key", "value").await.unwrap();
    caller.publish("news", "x").await.unwrap();
    let raw = test.raw().await;
    let mut tap = subscribed(&raw, ">").await;

    proxy.close();
    is_lost(&caller).await;
    let calls = (0..20).map(|_| caller.call::<String>("echo", GIVEN_UP).timeout(SHORT));
    let calls: Vec<_> = calls.map(IntoFuture::into_future).collect();
    let stream = caller.stream::<u32>("count", GIVEN_UP).timeout(SHORT);
    let send = |mesh: &AgentMesh| mesh.send("echo", GIVEN_UP).timeout(SHORT);
    let (send_only, on_error) = (send(&caller), send(&caller).on_error(|_| async {}));
    let (reply, reply_to) = (
        send(&caller).reply::<String>(),
        send(&caller).reply_to("replies"),
    );
    let publish = caller.publish("news", GIVEN_UP).timeout(SHORT);
    let kv = caller.kv();
    let agent = AgentSpec::new(GIVEN_UP, "Is not registered.").handler(|| async { 1_u32 });
    let registered = caller.clone();
    let (put, create, delete) = (
        kv.put(GIVEN_UP, "x"),
        kv.create(GIVEN_UP, "y"),
        kv.delete(GIVEN_UP),
    );
    let mut requests: Vec<(&str, BoxFuture<'_, Result<()>>)> = calls
        .into_iter()
        .map(|call| ("call", call.map(|reply| reply.map(drop)).boxed()))
        .collect();
    requests.extend([
        (
            "stream",
            stream.into_future().map(|chunks| chunks.map(drop)).boxed(),
        ),
        ("send", send_only.into_future().boxed()),
        ("on_error", on_error.into_future().boxed()),
        (
            "reply",
            reply.into_future().map(|reply| reply.map(drop)).boxed(),
        ),
        ("reply_to", reply_to.into_future().boxed()),
        ("publish", publish.into_future().boxed()),
        (
            "put",
            put.into_future().map(|revision| revision.map(drop)).boxed(),
        ),
        (
            "create",
            create
                .into_future()
                .map(|revision| revision.map(drop))
                .boxed(),
        ),
        (
            "delete",
            delete
                .into_future()
                .map(|deleted| deleted.map(drop))
                .boxed(),
        ),
        (
            "register",
            async move { registered.register(agent).await.map(drop) }.boxed(),
        ),
    ]);
    let ended = join_all(
        requests
            .into_iter()
            .map(|(verb, request)| async move { (verb, request.await) }),
    );
    // Operations on buckets have a timeout of 10 s each.
    let ended = tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    for (verb, result) in ended {
        let error = result.expect_err(verb);
        assert_eq!(
            error.code(),
            &ErrorCode::ConnectionFailed,
            "{verb}: {error}"
        );
    }
    // Given up by being dropped.
    let put = tokio::time::timeout(SHORT, kv.put(GIVEN_UP, "z").into_future());
    assert!(put.await.is_err());
    let call = caller.call::<String>("echo", GIVEN_UP);
    assert!(
        tokio::time::timeout(SHORT, call.into_future())
            .await
            .is_err()
    );

    proxy.open();
    within(caller.kv().put("end", "x")).await.unwrap();
    within(caller.publish("end", "x")).await.unwrap();
    loop {
        let message = within(tap.next()).await.unwrap();
        let content = String::from_utf8_lossy(&message.payload);
        let is_given_up = message.subject.contains(GIVEN_UP) || content.contains(GIVEN_UP);
        assert!(!is_given_up, "{}: {content}", message.subject);
        if message.subject.as_str() == "end" {
            break;
        }
    }
}

/// A publisher fills the buffer of the client while there is no server, and the answer to a request waits for
/// room in it. Once the mesh is closed, the client does not dial again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_closed_without_a_server_does_not_reconnect() {
    let closes = async |shut_down: bool| {
        let server = LocalServer::start().await.unwrap();
        let port = server.port();
        let closed = AgentMesh::builder().url(server.url()).shutdown_grace(SHORT);
        let closed = closed.connect().await.unwrap();
        let other = AgentMesh::connect(server.url()).await.unwrap();
        let made = Arc::new(AtomicU32::new(0));
        let counted = made.clone();
        let busy = AgentSpec::new("busy", "Publishes.").handler(move || {
            let made = counted.clone();
            stream::repeat(1_u32).inspect(move |_| {
                made.fetch_add(1, Ordering::SeqCst);
            })
        });
        let (alive, release) = (Alive::default(), Arc::new(Notify::new()));
        let (guards, released) = (alive.clone(), release.clone());
        let gate = AgentSpec::new("gate", "Answers when it is released.").handler(move || {
            let (guard, released) = (guards.guard(), released.clone());
            async move {
                released.notified().await;
                drop(guard);
            }
        });
        closed.register([busy, gate]).await.unwrap();
        let call = tokio::spawn(other.call::<()>("gate", ()).into_future());
        alive.are(1).await;
        server.stop().await.unwrap();
        stands_still(&made).await;
        release.notify_one();
        alive.are(0).await;
        let id = closed.instance_id().to_string();
        if shut_down {
            assert!(within(closed.shutdown()).await.is_err());
        }
        drop(closed);

        // A client that is not closed dials between two attempts of the other one. A dropped client may
        // dial until its last task has ended.
        let mut in_a_row = 0;
        let next = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let given_up = async {
            while in_a_row < 3 {
                let hello = within(hello(&next)).await;
                let is_other = hello.contains(other.instance_id().as_str());
                assert!(is_other || hello.contains(&id), "{hello}");
                assert!(is_other || !shut_down, "{hello}");
                in_a_row = if is_other { in_a_row + 1 } else { 0 };
            }
        };
        let given_up = tokio::time::timeout(Duration::from_secs(60), given_up).await;
        given_up.expect("the closed mesh dials again and again");
        call.abort();
    };
    tokio::join!(closes(true), closes(false));
}

/// The CONNECT line of the next client. The connection is closed after it.
async fn hello(server: &TcpListener) -> String {
    let (client, _) = server.accept().await.unwrap();
    let (reader, mut writer) = client.into_split();
    let info = r#"INFO {"server_id":"x","version":"2.11.0","max_payload":1048576}"#;
    let info = format!("{info}\r\n");
    writer.write_all(info.as_bytes()).await.unwrap();
    let mut hello = String::new();
    let mut reader = BufReader::new(reader);
    reader.read_line(&mut hello).await.unwrap();
    hello
}

#[tokio::test]
async fn watch_across_a_reconnect_yields_the_missed_changes() {
    let test = TestMesh::start().await;
    let proxy = Proxy::start(&test).await;
    let watcher = AgentMesh::connect(&proxy.url).await.unwrap();
    let (kv, files) = (test.mesh.kv(), test.mesh.workspace());
    kv.put("key", "before").await.unwrap();
    let mut keys = within(watcher.kv().watch(">")).await.unwrap();
    let mut objects = within(watcher.workspace().watch("")).await.unwrap();
    let mut agents = watcher.catalog().watch();
    within(keys.next()).await.unwrap().unwrap();

    proxy.close();
    kv.put("key", "after").await.unwrap();
    kv.put("other", "after").await.unwrap();
    kv.delete("other").await.unwrap();
    files.put("file", "after").await.unwrap();
    test.mesh.register(echo()).await.unwrap();
    proxy.open();

    let KvChange::Put(entry) = within(keys.next()).await.unwrap().unwrap() else {
        panic!("the key has a value");
    };
    assert_eq!(entry.text().unwrap(), "after");
    let gone = within(keys.next()).await.unwrap().unwrap();
    assert!(matches!(gone, KvChange::Deleted { key, .. } if key == "other"));
    let change = within(objects.next()).await.unwrap().unwrap();
    assert!(matches!(change, ObjectChange::Put(object) if object.name == "file"));
    let change = within(agents.next()).await.unwrap();
    assert!(matches!(change, CatalogChange::Added(entry) if entry.name == "echo"));
}

#[tokio::test]
async fn download_across_a_reconnect_is_complete() {
    let test = TestMesh::start().await;
    let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 1000) as u8).collect();
    within(test.mesh.workspace().put("file", content.clone()))
        .await
        .unwrap();
    let proxy = Proxy::start(&test).await;
    let reader = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut reader = within(reader.workspace().get("file").reader())
        .await
        .unwrap();
    let mut read = vec![0; 1_000_000];
    within(reader.read_exact(&mut read)).await.unwrap();
    proxy.cut();
    within(reader.read_to_end(&mut read)).await.unwrap();
    assert!(read == content);
}

/// Readers get one version or the other, never a mixture.
#[tokio::test]
async fn upload_across_a_reconnect_is_complete_or_absent() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("file", "before").await.unwrap();
    let proxy = Proxy::start(&test).await;
    let writer = AgentMesh::connect(&proxy.url).await.unwrap();
    let (mut feed, reader) = tokio::io::duplex(1000);
    let writing = writer.workspace();
    let upload = tokio::spawn(async move { writing.put_reader("file", reader).await });
    within(feed.write_all(&vec![1; 500_000])).await.unwrap();
    proxy.close();
    within(feed.write_all(&vec![2; 500_000])).await.unwrap();
    proxy.open();
    drop(feed);
    let uploaded = within(upload).await.unwrap();
    let got = eventually(|| async { files.get("file").await.ok() }).await;
    match uploaded {
        Ok(info) => assert_eq!((info.size, got.len()), (1_000_000, 1_000_000)),
        Err(error) => assert_eq!(&got[..], b"before", "{error}"),
    }
}

#[tokio::test]
async fn watch_survives_its_bucket_and_ends_with_its_connection() {
    let test = TestMesh::start().await;
    let watcher = test.peer().await;
    let kv = test.mesh.kv();
    kv.put("key", "first").await.unwrap();
    let mut keys = within(watcher.kv().watch(">")).await.unwrap();
    let mut updates = within(watcher.kv().watch(">").updates_only())
        .await
        .unwrap();
    within(keys.next()).await.unwrap().unwrap();

    let jetstream = async_nats::jetstream::new(test.raw().await);
    jetstream.delete_stream("KV_mesh-context").await.unwrap();
    kv.put("key", "second").await.unwrap();
    for changes in [&mut keys, &mut updates] {
        let change = within(changes.next()).await.unwrap().unwrap();
        assert!(matches!(&change, KvChange::Put(entry) if entry.text().unwrap() == "second"));
    }
    watcher.shutdown().await.unwrap();
    for changes in [&mut keys, &mut updates] {
        assert!(within(changes.next()).await.is_none());
        assert!(within(changes.next()).await.is_none());
    }
}

#[tokio::test]
async fn updates_only_watch_across_a_reconnect_yields_only_updates() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    for key in ["old1", "old2"] {
        kv.put(key, "x").await.unwrap();
    }
    let proxy = Proxy::start(&test).await;
    let watcher = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut updates = within(watcher.kv().watch(">").updates_only())
        .await
        .unwrap();
    proxy.close();
    kv.put("new", "x").await.unwrap();
    proxy.open();
    let change = within(updates.next()).await.unwrap().unwrap();
    assert_eq!(change.key(), "new");
}
