//! The typed calls that `#[agent]` makes next to a function and for a method.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use openagentmesh::{agent, agents, schemars, serde};
use tokio::sync::Notify;

use crate::support::{TestMesh, within};

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Order {
    sku: String,
    pieces: u32,
}

/// Has no `Serialize`: its agent can be served, and is called by name only.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct ReadOnly {
    text: String,
}

/// Prices an order.
#[agent(channel = "shop")]
async fn price(order: Order) -> Result<u32, std::io::Error> {
    Ok(order.pieces * 100)
}

/// Reads a text.
#[agent]
async fn read(input: ReadOnly) -> String {
    input.text
}

/// Returns its input.
#[agent]
async fn echo(text: String) -> String {
    text
}

/// Returns a number.
#[agent(name = "noon.hour")]
async fn noon() -> u8 {
    12
}

/// Counts.
#[agent]
fn count(to: u32) -> impl Stream<Item = Result<u32, std::io::Error>> {
    stream::iter(0..to).map(Ok)
}

/// Ticks.
#[agent]
fn ticks() -> impl Stream<Item = String> {
    let interval = tokio::time::interval(Duration::from_millis(10));
    stream::unfold(interval, |mut interval| async {
        interval.tick().await;
        Some(("tick".to_owned(), interval))
    })
}

#[derive(Default)]
struct Desk {
    noted: Notify,
}

#[agent(channel = "desk")]
impl Desk {
    /// Doubles a number.
    #[agent]
    pub(crate) async fn double(&self, n: u32) -> u32 {
        2 * n
    }

    /// Takes a note.
    #[agent]
    async fn note(&self, text: String) {
        assert_eq!(text, "milk");
        self.noted.notify_one();
    }

    /// Lists letters.
    #[agent(name = "letters")]
    fn list(&self, to: usize) -> impl Stream<Item = char> {
        stream::iter(('a'..='z').take(to))
    }

    /// Publishes.
    #[agent]
    fn news(&self) -> impl Stream<Item = String> {
        ticks()
    }

    /// Watches.
    #[agent]
    async fn watch(&self) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn typed_calls_of_functions_reach_their_agents() {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    mesh.register(agents![price, read, echo, noon, count, ticks])
        .await
        .unwrap();

    assert_eq!([price::NAME, noon::NAME], ["shop.price", "noon.hour"]);
    let order = Order {
        sku: "A".to_owned(),
        pieces: 3,
    };
    assert_eq!(within(price::call(mesh, &order)).await.unwrap(), 300);
    let slow = price::call(mesh, order).timeout(Duration::from_secs(20));
    assert_eq!(within(slow).await.unwrap(), 300);
    assert_eq!(within(echo::call(mesh, "a")).await.unwrap(), "a");
    assert_eq!(within(echo::call(mesh, "b".to_owned())).await.unwrap(), "b");
    assert_eq!(within(noon::call(mesh)).await.unwrap(), 12);
    within(noon::send(mesh)).await.unwrap();

    let counted = within(count::stream(mesh, 3)).await.unwrap();
    let counted: Vec<u32> = within(counted.try_collect()).await.unwrap();
    assert_eq!(counted, [0, 1, 2]);
    let mut ticking = within(ticks::subscribe(mesh)).await.unwrap();
    let tick = within(ticking.next()).await.unwrap().unwrap();
    assert_eq!(tick.data, "tick");

    let text: String = within(mesh.call(read::NAME, serde_json::json!({"text": "x"})))
        .await
        .unwrap();
    assert_eq!(text, "x");
}

#[tokio::test]
async fn typed_calls_of_methods_reach_their_agents() {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    let desk = Arc::new(Desk::default());
    mesh.register(Desk::agents(Arc::clone(&desk)))
        .await
        .unwrap();

    assert_eq!(within(Desk::call_double(mesh, 4)).await.unwrap(), 8);
    within(Desk::send_note(mesh, "milk")).await.unwrap();
    within(desk.noted.notified()).await;
    let letters = within(Desk::stream_list(mesh, 2)).await.unwrap();
    let letters: Vec<char> = within(letters.try_collect()).await.unwrap();
    assert_eq!(letters, ['a', 'b']);
    let mut events = within(Desk::subscribe_news(mesh)).await.unwrap();
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, "tick");
}
