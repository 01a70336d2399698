//! A future that its task has stopped to poll, as one branch of a `select!` while another one runs, delays no other.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, stream};
use openagentmesh::{AgentMesh, AgentSpec, Error};
use tokio::time::timeout;

use crate::support::{TestMesh, echo, eventually, within};

type Work = BoxFuture<'static, Result<(), Error>>;

type Begin = fn(AgentMesh) -> Work;

/// The operations of a mesh, each as one future.
const OPERATIONS: [(&str, Begin); 12] = [
    ("call", |mesh| {
        async move { mesh.call::<String>("echo", "a").await.map(drop) }.boxed()
    }),
    ("stream", |mesh| {
        async move {
            let mut chunks = mesh.stream::<u32>("count", 3).await?;
            while let Some(chunk) = chunks.next().await {
                chunk?;
            }
            Ok(())
        }
        .boxed()
    }),
    ("send", |mesh| {
        async move { mesh.send("echo", "a").await.map(drop) }.boxed()
    }),
    ("subscribe", |mesh| {
        async move { mesh.subscribe_subject::<u32>("orders.new").await.map(drop) }.boxed()
    }),
    ("put a value", |mesh| {
        async move { mesh.kv().put("motto", "a").await.map(drop) }.boxed()
    }),
    ("get a value", |mesh| {
        async move { mesh.kv().get("motto").await.map(drop) }.boxed()
    }),
    ("put a file", |mesh| {
        async move { mesh.workspace().put("a.txt", "a").await.map(drop) }.boxed()
    }),
    ("list files", |mesh| {
        async move { mesh.workspace().list("").await.map(drop) }.boxed()
    }),
    ("catalog", |mesh| {
        async move { mesh.catalog().await.map(drop) }.boxed()
    }),
    ("fresh catalog", |mesh| {
        async move { mesh.catalog().fresh().await.map(drop) }.boxed()
    }),
    ("contract", |mesh| {
        async move { mesh.contract("echo").await.map(drop) }.boxed()
    }),
    ("register", |mesh| {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("own.n{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let agent = AgentSpec::new(name.clone(), "Echoes.").handler(|text: String| async { text });
        async move {
            mesh.register(agent).await?;
            mesh.deregister([name]).await
        }
        .boxed()
    }),
];

/// Polls `work` up to `count` times, each time when it is ready to go on. Returns its result if it has ended.
async fn poll_times<T>(
    mut work: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    count: usize,
) -> Option<T> {
    let mut polls = 0;
    let polled = poll_fn(|context| {
        polls += 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls < count => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        }
    });
    // What waits for others is not woken again.
    timeout(Duration::from_secs(1), polled).await.ok().flatten()
}

async fn serving() -> TestMesh {
    let test = TestMesh::start().await;
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    within(test.mesh.register([echo(), count])).await.unwrap();
    test
}

#[tokio::test]
async fn operation_that_is_not_polled_delays_no_other() {
    let test = serving().await;
    for (stopped, begin) in OPERATIONS {
        for polls in 1..=4 {
            // Nothing is opened or subscribed yet.
            let mesh = test.peer().await;
            let mut begun = begin(mesh.clone());
            let ended = poll_times(begun.as_mut(), polls).await;
            for (name, operation) in OPERATIONS {
                // Registrations of one process follow each other.
                let done = timeout(Duration::from_secs(8), operation(mesh.clone())).await;
                let done = done
                    .unwrap_or_else(|_| panic!("{name} hangs after {polls} polls of {stopped}"));
                done.unwrap_or_else(|error| {
                    panic!("{name} after {polls} polls of {stopped}: {error}")
                });
            }
            match ended {
                Some(done) => done.unwrap(),
                None => within(begun).await.unwrap(),
            }
            within(mesh.shutdown()).await.unwrap();
        }
    }
}

/// A watch reads the catalog in its own future when somebody has registered.
#[tokio::test]
async fn watch_that_is_not_polled_delays_no_query() {
    let test = serving().await;
    let mesh = test.peer().await;
    let host = test.peer().await;
    let mut changes = mesh.catalog().watch();
    for _ in ["echo", "count"] {
        within(changes.next()).await.unwrap();
    }
    for round in 0..20 {
        let name = format!("round.n{round}");
        let agent = AgentSpec::new(name.clone(), "Echoes.").handler(|text: String| async { text });
        within(host.register(agent)).await.unwrap();
        let seen = poll_times(pin!(changes.next()), 1 + round % 5).await;
        eventually(|| async {
            let listed = within(mesh.catalog()).await.unwrap();
            listed.iter().any(|entry| entry.name == name).then_some(())
        })
        .await;
        if seen.is_none() {
            within(changes.next()).await.unwrap();
        }
    }
}
