//! A mesh on a cluster of servers.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode, Result};
use openagentmesh_local::{LocalCluster, LocalServer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const BUCKETS: [&str; 6] = [
    "KV_mesh-catalog",
    "KV_mesh-registry",
    "KV_mesh-instances",
    "KV_mesh-observability",
    "KV_mesh-context",
    "OBJ_mesh-artifacts",
];

async fn connect_all(cluster: &LocalCluster) -> Vec<AgentMesh> {
    let nodes = cluster.nodes().iter();
    try_join_all(nodes.map(|node| AgentMesh::connect(node.url())))
        .await
        .unwrap()
}

async fn replicas(url: &str, stream: &str) -> usize {
    let url = url.split(',').next().unwrap();
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let stream = jetstream.get_stream(stream).await.unwrap();
    stream.cached_info().config.num_replicas
}

fn double(name: &str) -> openagentmesh::Agent {
    AgentSpec::new(name, "Doubles a number")
        .handler(async |number: u64| Ok::<_, openagentmesh::Error>(number * 2))
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_at_once_on_a_fresh_cluster_are_ready_and_replicated() {
    let cluster = LocalCluster::start().await.unwrap();
    let meshes = connect_all(&cluster).await;
    let started = Instant::now();
    let registered = meshes.iter().enumerate().map(|(index, mesh)| async move {
        mesh.register(double(&format!("double-{index}"))).await
    });
    try_join_all(registered).await.unwrap();
    let took = started.elapsed();
    eprintln!("ready after {took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    for stream in BUCKETS {
        assert_eq!(replicas(cluster.url(), stream).await, 3, "{stream}");
    }
    for mesh in &meshes {
        for index in 0..meshes.len() {
            let doubled: u64 = mesh.call(format!("double-{index}"), 21).await.unwrap();
            assert_eq!(doubled, 42);
        }
    }
    join_all(meshes.iter().map(AgentMesh::shutdown)).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_buckets_get_more_replicas() {
    let cluster = LocalCluster::start().await.unwrap();
    let mesh = AgentMesh::builder()
        .url(cluster.url())
        .replicas(1)
        .connect()
        .await
        .unwrap();
    mesh.create_buckets().await.unwrap();
    assert_eq!(replicas(cluster.url(), "KV_mesh-catalog").await, 1);

    let buckets = mesh.replicate_buckets(None).await.unwrap();
    assert!(buckets.iter().all(|bucket| bucket.replicas == 1));
    let error = mesh.replicate_buckets(Some(6)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration);
    let buckets = mesh.replicate_buckets(Some(3)).await.unwrap();
    assert_eq!(buckets.len(), 6);
    for bucket in buckets {
        assert_eq!((bucket.previous, bucket.replicas), (1, 3), "{bucket:?}");
        assert!(!bucket.is_at_risk());
    }
    for stream in BUCKETS {
        assert_eq!(replicas(cluster.url(), stream).await, 3, "{stream}");
    }
    let buckets = mesh.replicate_buckets(Some(5)).await.unwrap();
    assert!(buckets.iter().all(|bucket| bucket.replicas == 3));
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn list_after_a_write_has_the_write() {
    let cluster = LocalCluster::start().await.unwrap();
    let meshes = connect_all(&cluster).await;
    let (kv, files) = (meshes[0].kv(), meshes[0].workspace());
    for number in 0..50 {
        let key = format!("list.key-{number}");
        kv.put(&key, "x").await.unwrap();
        assert_eq!(kv.keys("list.>").await.unwrap().len(), number + 1);
        let listed = kv.list("list.*").await.unwrap();
        assert_eq!(listed.len(), number + 1);
        assert!(listed.iter().any(|entry| entry.key == key));
    }
    kv.delete("list.key-7").await.unwrap();
    assert_eq!(kv.keys("list.>").await.unwrap().len(), 49);
    for number in 0..10 {
        files.put(format!("file-{number}"), "text").await.unwrap();
        assert_eq!(files.list("").await.unwrap().len(), number + 1);
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn single_server_holds_one_replica_of_three() {
    let server = LocalServer::start().await.unwrap();
    let mesh = AgentMesh::builder()
        .url(server.url())
        .replicas(3)
        .connect()
        .await
        .unwrap();
    mesh.create_buckets().await.unwrap();
    assert_eq!(replicas(server.url(), "KV_mesh-catalog").await, 1);
    let buckets = mesh.replicate_buckets(None).await.unwrap();
    assert!(buckets.iter().all(|bucket| bucket.is_at_risk()));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn read_after_a_write_of_the_same_process_never_sees_the_older_value() {
    let cluster = LocalCluster::start().await.unwrap();
    let meshes = connect_all(&cluster).await;
    meshes[0].create_buckets().await.unwrap();
    let writers = meshes.iter().enumerate().map(|(node, mesh)| async move {
        for number in 0..100_u64 {
            let key = format!("node-{node}");
            let revision = mesh.kv().put(&key, number.to_string()).await?;
            let entry = mesh.kv().get(&key).await?.unwrap();
            assert_eq!(entry.revision, revision, "{key}");
            if number % 10 == 0 {
                let content = format!("{key}: {number}");
                mesh.workspace().put(&key, content.clone()).await?;
                assert_eq!(mesh.workspace().get(&key).await?, content, "{key}");
                mesh.register(double(&format!("{key}-{number}"))).await?;
                let agents = mesh.catalog().await?;
                let name = format!("{key}-{number}");
                assert!(agents.iter().any(|agent| agent.name == name), "{name}");
            }
        }
        Ok::<_, openagentmesh::Error>(())
    });
    try_join_all(writers).await.unwrap();
    join_all(meshes.iter().map(AgentMesh::shutdown)).await;
    cluster.stop().await.unwrap();
}

/// The time that each request has in [`acknowledged_writes_and_the_catalog_outlive_the_death_of_a_leader`].
const DEADLINE: Duration = Duration::from_secs(5);

/// Calls agents of all hosts, 50 times a second, until `stop`. Returns how many calls succeeded and failed.
async fn call_continuously(mesh: AgentMesh, stop: CancellationToken) -> (usize, usize) {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    let mut calls = JoinSet::new();
    let (mut succeeded, mut failed) = (0, 0);
    for index in 0_u64.. {
        if stop.run_until_cancelled(interval.tick()).await.is_none() {
            break;
        }
        let mesh = mesh.clone();
        calls.spawn(async move {
            let started = Instant::now();
            let name = format!("double-{}", index % 3);
            let reply = mesh.call::<u64>(&name, index).timeout(DEADLINE).await;
            let took = started.elapsed();
            assert!(
                took < DEADLINE + Duration::from_secs(30),
                "{took:?}: {reply:?}"
            );
            if let Ok(doubled) = reply {
                assert_eq!(doubled, index * 2);
            }
            reply.is_ok()
        });
    }
    while let Some(succeeds) = calls.join_next().await {
        match succeeds.unwrap() {
            true => succeeded += 1,
            false => failed += 1,
        }
    }
    (succeeded, failed)
}

/// Writes values and files until `stop`. Returns the numbers of the acknowledged ones.
async fn write_continuously(
    mesh: AgentMesh,
    writer: usize,
    stop: CancellationToken,
) -> (Vec<u64>, Vec<u64>) {
    let (mut values, mut files) = (Vec::new(), Vec::new());
    for number in 0_u64.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("{writer}/{number}");
        match mesh.kv().put(&name, number.to_string()).await {
            Ok(_) => values.push(number),
            Err(error) => eprintln!("value {name} is not acknowledged: {error}"),
        }
        if number % 5 == 0 {
            let put = mesh.workspace().put(&name, name.clone()).into_future();
            match tokio::time::timeout(Duration::from_secs(10), put).await {
                Ok(Ok(_)) => files.push(number),
                Ok(Err(error)) => eprintln!("file {name} is not acknowledged: {error}"),
                Err(_) => eprintln!("file {name} is not acknowledged within 10 s"),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (values, files)
}

/// Waits until the catalog lists the agents `expected`. Not every read of it succeeds while a leader is elected.
async fn lists(mesh: &AgentMesh, expected: &[&str]) {
    crate::support::eventually(|| async {
        let agents = mesh.catalog().await.ok()?;
        let mut names: Vec<_> = agents.iter().map(|agent| agent.name.to_string()).collect();
        names.sort();
        (names == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_and_the_catalog_outlive_the_death_of_a_leader() {
    let mut cluster = LocalCluster::start().await.unwrap();
    let meshes = connect_all(&cluster).await;
    for (index, mesh) in meshes.iter().enumerate() {
        mesh.register(double(&format!("double-{index}")))
            .await
            .unwrap();
    }
    let stop = CancellationToken::new();
    let callers = meshes.iter().map(|mesh| {
        let calls = [(); 2].map(|()| call_continuously(mesh.clone(), stop.clone()));
        tokio::spawn(join_all(calls))
    });
    let callers: Vec<_> = callers.collect();
    let writers = meshes.iter().enumerate();
    let writers = writers
        .map(|(writer, mesh)| tokio::spawn(write_continuously(mesh.clone(), writer, stop.clone())));
    let writers: Vec<_> = writers.collect();

    tokio::time::sleep(Duration::from_secs(3)).await;
    let leader = leader(cluster.nodes()[0].url(), "KV_mesh-catalog").await;
    let names_of_nodes: Vec<String> = cluster.nodes().iter().map(|node| node.name()).collect();
    let killed = names_of_nodes
        .iter()
        .position(|name| *name == leader)
        .unwrap();
    eprintln!("node {killed} is killed, the leader of the catalog");
    cluster.kill_node(killed).await.unwrap();
    tokio::time::sleep(Duration::from_secs(12)).await;
    // A registration while a node is down.
    meshes[(killed + 1) % 3]
        .register(double("late"))
        .await
        .unwrap();
    cluster.restart_node(killed).await.unwrap();
    cluster.ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let restarted = (killed + 1) % 3;
    eprintln!("node {restarted} is restarted");
    cluster.restart_node(restarted).await.unwrap();
    cluster.ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    stop.cancel();

    let (mut succeeded, mut failed) = (0, 0);
    for caller in callers {
        for calls in caller.await.unwrap() {
            succeeded += calls.0;
            failed += calls.1;
        }
    }
    eprintln!("{succeeded} calls succeeded, {failed} failed with a typed error");
    assert!(succeeded > 10 * failed, "{succeeded} of {failed}");
    let reader = AgentMesh::connect(cluster.url()).await.unwrap();
    for (writer, written) in writers.into_iter().enumerate() {
        let (values, files) = written.await.unwrap();
        eprintln!(
            "{} values and {} files of writer {writer}",
            values.len(),
            files.len()
        );
        assert!(values.len() > 50 && files.len() > 10);
        for number in values {
            let name = format!("{writer}/{number}");
            let entry = reader.kv().get(&name).await.unwrap();
            let entry = entry.unwrap_or_else(|| panic!("value {name} is lost"));
            assert_eq!(entry.text().unwrap(), number.to_string());
        }
        for number in files {
            let name = format!("{writer}/{number}");
            assert_eq!(reader.workspace().get(&name).await.unwrap(), name);
        }
    }
    let expected = ["double-0", "double-1", "double-2", "late"];
    for mesh in meshes.iter().chain([&reader]) {
        lists(mesh, &expected).await;
    }
    try_join_all(meshes.iter().map(AgentMesh::shutdown))
        .await
        .unwrap();
    lists(&AgentMesh::connect(cluster.url()).await.unwrap(), &[]).await;
    cluster.stop().await.unwrap();
}

/// The name of the server that leads `stream`.
async fn leader(url: &str, stream: &str) -> String {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    crate::support::eventually(|| async {
        let stream = jetstream.get_stream(stream).await.ok()?;
        stream.cached_info().cluster.as_ref()?.leader.clone()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_between_nodes_has_its_first_chunk() {
    let cluster = LocalCluster::start().await.unwrap();
    let meshes = connect_all(&cluster).await;
    let count =
        AgentSpec::new("count", "Counts up").handler(|end: u64| futures::stream::iter(0..end));
    meshes[0].register(count).await.unwrap();
    meshes[1].wait_for("count").await.unwrap();
    meshes[2].wait_for("count").await.unwrap();
    for round in 0..50_u64 {
        for mesh in &meshes[1..] {
            let chunks = mesh.stream::<u64>("count", round % 5 + 1).await.unwrap();
            let chunks: Vec<Result<u64>> = chunks.collect().await;
            let chunks: Vec<u64> = chunks.into_iter().map(Result::unwrap).collect();
            assert_eq!(chunks, (0..=round % 5).collect::<Vec<_>>());
        }
    }
    join_all(meshes.iter().map(AgentMesh::shutdown)).await;
    cluster.stop().await.unwrap();
}
