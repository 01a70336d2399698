//! Files of users who may have no consumers.

use openagentmesh::ObjectChange;

use super::{Secured, denied};
use crate::support::permissions::Permissions;
use crate::support::within;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index / 7 % 251) as u8).collect()
}

#[tokio::test]
async fn reader_gets_lists_and_watches_files() {
    let users = [("ann", Permissions::of("ann").files(false))];
    let server = Secured::start(&users).await;
    let (files, mesh) = (server.admin.workspace(), server.user("ann").await);
    for (name, bytes) in [("empty", 0), ("small", 10), ("large", 3_000_000)] {
        within(files.put(name, content(bytes))).await.unwrap();
    }
    let reader = mesh.workspace();
    for (name, bytes) in [("large", 3_000_000), ("small", 10), ("empty", 0)] {
        let read = within(reader.get(name)).await.unwrap();
        assert!(read == content(bytes), "{name}");
    }
    let names = within(reader.list("")).await.unwrap();
    let names: Vec<&str> = names.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["empty", "large", "small"]);
    let mut changes = within(reader.watch("").updates_only()).await.unwrap();
    within(files.put("new", content(1))).await.unwrap();
    let change = within(changes.next()).await.unwrap().unwrap();
    assert!(matches!(change, ObjectChange::Put(file) if file.name == "new"));
    denied("put", "$O.mesh-artifacts.", reader.put("other", "x")).await;
    denied("delete", "$O.mesh-artifacts.", reader.delete("small")).await;
}

/// The chunks of both files alternate in the bucket.
#[tokio::test]
async fn files_that_were_written_at_the_same_time_are_read() {
    let users = [("ann", Permissions::of("ann").files(false))];
    let server = Secured::start(&users).await;
    let (files, mesh) = (server.admin.workspace(), server.user("ann").await);
    let other = vec![7; 3_000_000];
    let (one, two) = futures::join!(
        within(files.put("one", content(4_000_000))),
        within(files.put("two", other.clone()))
    );
    one.unwrap();
    two.unwrap();
    let read = within(mesh.workspace().get("one")).await.unwrap();
    assert!(read == content(4_000_000));
    let read = within(mesh.workspace().get("two")).await.unwrap();
    assert!(read == other);
}

/// The chunks of a replaced or deleted file cannot be purged: an empty message takes their place.
#[tokio::test]
async fn writer_replaces_and_deletes_files() {
    let users = [("ann", Permissions::of("ann").files(true))];
    let server = Secured::start(&users).await;
    let mesh = server.user("ann").await;
    let files = mesh.workspace();
    within(files.put("file", content(1_000_000))).await.unwrap();
    within(files.put("file", content(500_000))).await.unwrap();
    let read = within(files.get("file")).await.unwrap();
    assert!(read == content(500_000));
    let jetstream = async_nats::jetstream::new(server.raw().await);
    let stream = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
    let stored = stream.get_info().await.unwrap().state;
    assert!(stored.bytes < 600_000, "{stored:?}");
    assert!(within(files.delete("file")).await.unwrap());
    assert!(within(files.get("file")).await.is_err());
    let stored = stream.get_info().await.unwrap().state;
    assert!(stored.bytes < 10_000, "{stored:?}");
}
