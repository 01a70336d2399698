//! Requests are futures: they are joined, spawned, selected and collected without an adapter.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentSpec, ErrorCode};

use crate::support::{TestMesh, echo, within};

async fn serving() -> TestMesh {
    let test = TestMesh::start().await;
    let double =
        AgentSpec::new("double", "Doubles a number.").handler(|n: u32| async move { 2 * n });
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    let stuck = AgentSpec::new("stuck", "Never replies.").handler(std::future::pending::<u32>);
    test.mesh
        .register((double, count, [stuck, echo()]))
        .await
        .unwrap();
    test
}

#[tokio::test]
async fn calls_are_joined_spawned_and_collected() {
    let test = serving().await;
    let mesh = &test.mesh;
    within(async {
        let (double, text) = tokio::join!(
            mesh.call::<u32>("double", 1),
            mesh.call::<String>("echo", "a"),
        );
        assert_eq!((double.unwrap(), text.unwrap().as_str()), (2, "Echo: a"));

        let all = join_all((0..10).map(|n| mesh.call::<u32>("double", n))).await;
        assert!(all.into_iter().eq_by_doubling(0..10));
        let all: Vec<u32> = try_join_all((0..3).map(|n| mesh.call("double", n)))
            .await
            .unwrap();
        assert_eq!(all, [0, 2, 4]);

        let spawned = tokio::spawn(mesh.call::<u32>("double", 4));
        assert_eq!(spawned.await.unwrap().unwrap(), 8);

        let calls: FuturesUnordered<_> = (0..10).map(|n| mesh.call::<u32>("double", n)).collect();
        let mut all: Vec<u32> = calls.try_collect().await.unwrap();
        all.sort_unstable();
        assert_eq!(all, (0..10).map(|n| 2 * n).collect::<Vec<_>>());

        let buffered = stream::iter(0..10).map(|n| mesh.call::<u32>("double", n));
        let all: Vec<u32> = buffered.buffered(4).try_collect().await.unwrap();
        assert_eq!(all.len(), 10);
    })
    .await;
}

/// Compares replies with the doubles of their inputs.
trait EqByDoubling {
    fn eq_by_doubling(self, inputs: std::ops::Range<u32>) -> bool;
}

impl<I: Iterator<Item = openagentmesh::Result<u32>>> EqByDoubling for I {
    fn eq_by_doubling(self, inputs: std::ops::Range<u32>) -> bool {
        self.map(Result::unwrap).eq(inputs.map(|n| 2 * n))
    }
}

#[tokio::test]
async fn selected_call_that_loses_is_cancelled() {
    let test = serving().await;
    let mesh = &test.mesh;
    within(async {
        tokio::select! {
            _ = mesh.call::<u32>("stuck", ()) => panic!("the agent never replies"),
            text = mesh.call::<String>("echo", "b") => assert_eq!(text.unwrap(), "Echo: b"),
        }
        // A call is polled in place, and stays in flight between two selections.
        let mut call = mesh.call::<u32>("stuck", ());
        for n in 0..3 {
            tokio::select! {
                _ = &mut call => panic!("the agent never replies"),
                double = mesh.call::<u32>("double", n) => assert_eq!(double.unwrap(), 2 * n),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_request_is_a_future() {
    let test = serving().await;
    let mesh = &test.mesh;
    within(async {
        let (sent, stream, catalog, contracts, published, listed, events) = tokio::join!(
            tokio::spawn(mesh.send("double", 1)),
            tokio::spawn(mesh.stream::<u32>("count", 3)),
            tokio::spawn(mesh.catalog()),
            tokio::spawn(mesh.discover()),
            tokio::spawn(mesh.publish("news", 1)),
            tokio::spawn(mesh.wait_for("double")),
            tokio::spawn(mesh.subscribe_subject::<u32>("news").raw()),
        );
        sent.unwrap().unwrap();
        let chunks: Vec<u32> = stream.unwrap().unwrap().try_collect().await.unwrap();
        assert_eq!(chunks, [0, 1, 2]);
        assert_eq!(catalog.unwrap().unwrap().len(), 4);
        assert_eq!(contracts.unwrap().unwrap().len(), 4);
        published.unwrap().unwrap();
        assert_eq!(listed.unwrap().unwrap().name.as_str(), "double");
        drop(events.unwrap().unwrap());
        let reply = tokio::spawn(mesh.send("double", 2).reply::<u32>());
        assert_eq!(reply.await.unwrap().unwrap().await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn option_after_the_first_poll_has_no_effect() {
    let test = serving().await;
    let mesh = &test.mesh;
    within(async {
        let mut call = mesh
            .call::<u32>("stuck", ())
            .timeout(Duration::from_millis(50));
        assert!(futures::poll!(&mut call).is_pending());
        let error = call.timeout(Duration::from_secs(3600)).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Timeout);

        let mut send = mesh.send("double", 1);
        drop(futures::poll!(&mut send));
        let error = send.reply::<u32>().await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn watches_and_transfers_are_futures() {
    let test = TestMesh::start().await;
    let (kv, files) = (test.mesh.kv(), test.mesh.workspace());
    within(async {
        let (put, other) = tokio::join!(
            tokio::spawn(files.put("a", "1")),
            files.put("b", "2").content_type("text/plain"),
        );
        assert_eq!((put.unwrap().unwrap().size, other.unwrap().size), (1, 1));
        let (got, watch, changes) = tokio::join!(
            tokio::spawn(files.get("a")),
            tokio::spawn(kv.watch(">")),
            tokio::spawn(files.watch("").updates_only()),
        );
        assert_eq!(got.unwrap().unwrap(), "1");
        drop((watch.unwrap().unwrap(), changes.unwrap().unwrap()));
    })
    .await;
}

/// Each operation is made with a temporary handle, and outlives it.
#[tokio::test]
async fn operations_without_options_are_spawned() {
    let test = serving().await;
    let mesh = &test.mesh;
    within(async {
        let revision = tokio::spawn(mesh.kv().create("a", "1")).await.unwrap();
        let update = mesh.kv().update("a", "2", revision.unwrap());
        tokio::spawn(update).await.unwrap().unwrap();
        let got = tokio::spawn(mesh.kv().get("a")).await.unwrap().unwrap();
        assert_eq!(got.unwrap().text().unwrap(), "2");
        let mut runs = 0;
        let counted = mesh.kv().modify("a", |_| {
            runs += 1;
            Ok("3")
        });
        counted.await.unwrap();
        assert_eq!(runs, 1, "a closure may borrow");
        let modify = mesh.kv().modify("a", |_| Ok("4"));
        tokio::spawn(modify).await.unwrap().unwrap();
        let modify = mesh.kv().try_modify("a", |_| Ok("5"));
        tokio::spawn(modify).await.unwrap().unwrap().unwrap();
        let (keys, list) = (mesh.kv().keys(">"), mesh.kv().list(">"));
        assert_eq!(tokio::spawn(keys).await.unwrap().unwrap(), ["a"]);
        assert_eq!(tokio::spawn(list).await.unwrap().unwrap().len(), 1);
        let writes = [mesh.kv().put("b", "1"), mesh.kv().put("c", "1")];
        try_join_all(writes.map(tokio::spawn)).await.unwrap();
        let removals = [mesh.kv().delete("b"), mesh.kv().purge("c")];
        try_join_all(removals.map(tokio::spawn)).await.unwrap();

        let put = ["a", "b", "c"].map(|name| mesh.workspace().put(name, "1"));
        try_join_all(put).await.unwrap();
        let info = tokio::spawn(mesh.workspace().info("a")).await.unwrap();
        assert_eq!(info.unwrap().unwrap().size, 1);
        let deleted = tokio::spawn(mesh.workspace().delete("a")).await.unwrap();
        assert!(deleted.unwrap());
        let deleted = mesh.workspace().delete_prefix("b");
        assert_eq!(tokio::spawn(deleted).await.unwrap().unwrap(), 1);
        let list = tokio::spawn(mesh.workspace().list("")).await.unwrap();
        assert_eq!(list.unwrap().len(), 1);

        let contract = tokio::spawn(mesh.contract("echo")).await.unwrap();
        assert_eq!(contract.unwrap().name.as_str(), "echo");
        let tools = tokio::spawn(mesh.tools().timeout(Duration::from_secs(9)));
        assert_eq!(tools.await.unwrap().unwrap().len(), 4);
        tokio::spawn(mesh.create_buckets()).await.unwrap().unwrap();
        let other = AgentSpec::new("other", "Echoes.").handler(|n: u32| async move { n });
        tokio::spawn(mesh.register(other)).await.unwrap().unwrap();
        let deregister = tokio::spawn(mesh.deregister(["other"]));
        deregister.await.unwrap().unwrap();
        let run = tokio::spawn(mesh.run());
        tokio::spawn(mesh.shutdown()).await.unwrap().unwrap();
        run.abort();
    })
    .await;
}
