//! Shared values of users who may have no consumers.

use openagentmesh::{AgentMesh, KvChange, KvChanges};

use super::{Secured, denied};
use crate::support::permissions::Permissions;
use crate::support::secured::SecuredServer;
use crate::support::{eventually, within};

async fn next(changes: &mut KvChanges) -> (String, Option<String>) {
    match within(changes.next()).await.unwrap().unwrap() {
        KvChange::Put(entry) => (entry.key.clone(), Some(entry.text().unwrap().to_owned())),
        deleted => (deleted.key().to_owned(), None),
    }
}

fn put(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

fn deleted(key: &str) -> (String, Option<String>) {
    (key.to_owned(), None)
}

async fn listed(mesh: &AgentMesh, pattern: &str) -> Vec<(String, Option<String>)> {
    let entries = within(mesh.kv().list(pattern)).await.unwrap();
    let pair = |entry: &openagentmesh::KvEntry| put(&entry.key, entry.text().unwrap());
    entries.iter().map(pair).collect()
}

#[tokio::test]
async fn reader_gets_lists_and_watches_values() {
    let users = [("ann", Permissions::of("ann").kv(None))];
    let server = Secured::start(&users).await;
    let (kv, mesh) = (server.admin.kv(), server.user("ann").await);
    assert_eq!(listed(&mesh, ">").await, []);
    for (key, value) in [("a.1", "x"), ("b", "y"), ("a.2", "z"), ("b", "yy")] {
        kv.put(key, value).await.unwrap();
    }
    kv.put("gone", "x").await.unwrap();
    kv.delete("gone").await.unwrap();
    let all = [put("a.1", "x"), put("a.2", "z"), put("b", "yy")];
    assert_eq!(listed(&mesh, ">").await, all);
    assert_eq!(listed(&mesh, "a.*").await, all[..2]);
    assert_eq!(listed(&mesh, "absent.>").await, []);
    assert_eq!(
        within(mesh.kv().keys(">")).await.unwrap(),
        ["a.1", "a.2", "b"]
    );
    let entry = within(mesh.kv().get("b")).await.unwrap().unwrap();
    assert_eq!(entry.text().unwrap(), "yy");
    assert!(within(mesh.kv().get("gone")).await.unwrap().is_none());

    let mut changes = within(mesh.kv().watch(">")).await.unwrap();
    let mut updates = within(mesh.kv().watch("a.*").updates_only()).await.unwrap();
    for expected in [put("a.1", "x"), put("a.2", "z"), put("b", "yy")] {
        assert_eq!(next(&mut changes).await, expected);
    }
    kv.put("a.1", "xx").await.unwrap();
    kv.delete("b").await.unwrap();
    kv.put("a.3", "new").await.unwrap();
    for expected in [put("a.1", "xx"), deleted("b"), put("a.3", "new")] {
        assert_eq!(next(&mut changes).await, expected);
    }
    for expected in [put("a.1", "xx"), put("a.3", "new")] {
        assert_eq!(next(&mut updates).await, expected);
    }
    denied("put", "$KV.mesh-context.b", mesh.kv().put("b", "x")).await;
    denied("delete", "$KV.mesh-context.b", mesh.kv().delete("b")).await;
}

#[tokio::test]
async fn many_values_are_listed_in_order_of_their_keys() {
    let users = [("ann", Permissions::of("ann").kv(Some(">")))];
    let server = Secured::start(&users).await;
    let mesh = server.user("ann").await;
    let mut expected = Vec::new();
    for number in 0..300 {
        let (key, value) = (format!("key{number:03}"), format!("{number}"));
        within(mesh.kv().put(&key, value.as_str())).await.unwrap();
        expected.push(put(&key, &value));
    }
    assert_eq!(listed(&mesh, ">").await, expected);
    let mut changes = within(server.user("ann").await.kv().watch(">"))
        .await
        .unwrap();
    for expected in expected {
        assert_eq!(next(&mut changes).await, expected);
    }
}

#[tokio::test]
async fn write_that_the_server_refuses_is_not_reported_and_later_ones_are() {
    let users = [("ann", Permissions::of("ann").kv(Some(">")))];
    let server = Secured::start(&users).await;
    let (kv, mesh) = (server.admin.kv(), server.user("ann").await);
    let revision = kv.put("key", "1").await.unwrap();
    let mut changes = within(mesh.kv().watch(">")).await.unwrap();
    assert_eq!(next(&mut changes).await, put("key", "1"));
    for _ in 0..20 {
        let refused = within(mesh.kv().update("key", "refused", revision + 100)).await;
        assert!(refused.is_err());
    }
    kv.update("key", "2", revision).await.unwrap();
    assert_eq!(next(&mut changes).await, put("key", "2"));
    kv.put("key", "3").await.unwrap();
    assert_eq!(next(&mut changes).await, put("key", "3"));
}

/// Several values of each key are stored.
#[tokio::test]
async fn last_value_of_each_key_is_read_from_a_bucket_with_history() {
    let users = [("ann", Permissions::of("ann").kv(None))];
    let server = Secured::start(&users).await;
    let jetstream = async_nats::jetstream::new(server.raw().await);
    let mut config = jetstream
        .get_stream("KV_mesh-context")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    config.max_messages_per_subject = 5;
    jetstream.update_stream(config).await.unwrap();
    let (kv, mesh) = (server.admin.kv(), server.user("ann").await);
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"), ("b", "2")] {
        kv.put(key, value).await.unwrap();
    }
    assert_eq!(listed(&mesh, ">").await, [put("a", "3"), put("b", "2")]);
    let mut changes = within(mesh.kv().watch(">")).await.unwrap();
    assert_eq!(next(&mut changes).await, put("a", "3"));
    assert_eq!(next(&mut changes).await, put("b", "2"));
    kv.put("a", "4").await.unwrap();
    assert_eq!(next(&mut changes).await, put("a", "4"));
}

#[tokio::test]
async fn watch_reports_the_values_of_a_bucket_that_was_created_again() {
    let users = [("ann", Permissions::of("ann").kv(None))];
    let server = Secured::start(&users).await;
    let mesh = server.user("ann").await;
    server.admin.kv().put("key", "old").await.unwrap();
    let mut changes = within(mesh.kv().watch(">")).await.unwrap();
    assert_eq!(next(&mut changes).await, put("key", "old"));
    let jetstream = async_nats::jetstream::new(server.raw().await);
    jetstream.delete_stream("KV_mesh-context").await.unwrap();
    // The subscriber of the watch takes the place of the bucket: a write is not refused, and not answered.
    eventually(|| async { server.admin.kv().put("key", "new").await.ok() }).await;
    // Errors may be reported while the bucket is missing.
    loop {
        match within(changes.next()).await.unwrap() {
            Ok(KvChange::Put(entry)) => break assert_eq!(entry.text().unwrap(), "new"),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
}

/// One who may read the values, and not subscribe to their writes.
#[tokio::test]
async fn denied_subscription_fails_a_watch_and_not_a_list() {
    let permissions = "publish: { allow: [\"$JS.API.STREAM.INFO.>\", \"$JS.API.STREAM.MSG.GET.>\"] }, \
                       subscribe: { allow: \"_INBOX.ann.>\" }";
    let server = SecuredServer::with_users(&[("ann", permissions.to_owned())]).await;
    let admin = AgentMesh::builder()
        .url(server.url())
        .user_and_password("admin", "pw");
    let admin = within(admin.connect()).await.unwrap();
    within(admin.kv().put("key", "value")).await.unwrap();
    let mesh = AgentMesh::builder()
        .url(server.url())
        .user_and_password("ann", "pw")
        .user("ann");
    let mesh = within(mesh.connect()).await.unwrap();
    assert_eq!(listed(&mesh, ">").await, [put("key", "value")]);
    denied("watch", "$KV.mesh-context.>", mesh.kv().watch(">")).await;
    let updates = mesh.kv().watch("key").updates_only();
    denied("watch", "$KV.mesh-context.key", updates).await;
}

/// A permission can name the subject of a direct read, where the bucket allows it.
#[tokio::test]
async fn single_keys_are_read_directly() {
    let direct = "$JS.API.DIRECT.GET.KV_mesh-context.$KV.mesh-context";
    let permissions = format!(
        "publish: {{ allow: [\"$JS.API.STREAM.INFO.>\", \"{direct}.team.>\"] }}, \
         subscribe: {{ allow: \"_INBOX.ann.>\" }}"
    );
    let server = SecuredServer::with_users(&[("ann", permissions)]).await;
    let connect = |user: &str| {
        let builder = AgentMesh::builder().url(server.url());
        within(builder.user_and_password(user, "pw").user(user).connect())
    };
    let (admin, mesh) = (
        connect("admin").await.unwrap(),
        connect("ann").await.unwrap(),
    );
    within(admin.kv().put("team.a", "1")).await.unwrap();
    within(admin.kv().put("other", "1")).await.unwrap();
    let read = "$JS.API.STREAM.MSG.GET.KV_mesh-context";
    denied("get", read, mesh.kv().get("team.a")).await;

    let options =
        async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), "pw".to_owned());
    let client = options.connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = jetstream.get_stream("KV_mesh-context").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.allow_direct = true;
    jetstream.update_stream(config).await.unwrap();
    let mesh = connect("ann").await.unwrap();
    for _ in 0..2 {
        let entry = within(mesh.kv().get("team.a")).await.unwrap().unwrap();
        assert_eq!(entry.text().unwrap(), "1");
        assert!(
            within(mesh.kv().get("team.absent"))
                .await
                .unwrap()
                .is_none()
        );
        denied("get", &format!("{direct}.other"), mesh.kv().get("other")).await;
    }
    denied("list", read, mesh.kv().list("team.>")).await;
}

/// The buckets of a mesh with users allow no message that replaces others.
#[tokio::test]
async fn purged_key_of_a_bucket_without_rollups_has_no_value() {
    let users = [("ann", Permissions::of("ann").kv(Some("team.>")))];
    let server = Secured::start(&users).await;
    let jetstream = async_nats::jetstream::new(server.raw().await);
    let stream = jetstream.get_stream("KV_mesh-context").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.allow_rollup = false;
    jetstream.update_stream(config).await.unwrap();
    let mesh = server.user("ann").await;
    let revision = within(mesh.kv().put("team.a", "1")).await.unwrap();
    within(mesh.kv().update("team.a", "2", revision))
        .await
        .unwrap();
    within(mesh.kv().purge("team.a")).await.unwrap();
    assert!(within(mesh.kv().get("team.a")).await.unwrap().is_none());
    denied("put", "$KV.mesh-context.other", mesh.kv().put("other", "x")).await;
}
