//! The five shapes, inferred from the input and output of a function.

use futures::{Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, Context, Shape, agent, agents};

fn spec() -> AgentSpec {
    AgentSpec::new("x", "Does something.")
}

async fn respond(number: u32) -> u32 {
    number
}

fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Every shape as a closure or a function, with an output and with a `Result` of one.
fn all() -> Vec<(Agent, Shape)> {
    vec![
        (spec().handler(respond), Shape::Responder),
        (spec().handler(|n: u32| async move { n }), Shape::Responder),
        (
            spec().handler(|n: u32| async move { std::io::Result::Ok(n) }),
            Shape::Responder,
        ),
        (spec().handler(|_: u32| async {}), Shape::Responder),
        (spec().handler(count), Shape::Streamer),
        (spec().handler(|n: u32| stream::iter(0..n)), Shape::Streamer),
        (
            spec().handler(|n: u32| stream::iter([std::io::Result::Ok(n)])),
            Shape::Streamer,
        ),
        (
            spec().result_handler(|n: u32| stream::iter([Ok::<_, String>(n)])),
            Shape::Streamer,
        ),
        (spec().handler(|| async { 1 }), Shape::Trigger),
        (
            spec().result_handler(|| async { Ok::<_, String>(1) }),
            Shape::Trigger,
        ),
        (spec().handler(|| stream::iter([1, 2])), Shape::Publisher),
        (
            spec().handler(|| stream::iter([std::io::Result::Ok(1)])),
            Shape::Publisher,
        ),
        (spec().watcher(|| async {}), Shape::Watcher),
        (
            spec().watcher(|| async { Ok::<(), String>(()) }),
            Shape::Watcher,
        ),
    ]
}

/// The same shapes with a context as the first argument.
fn all_with_context() -> Vec<(Agent, Shape)> {
    vec![
        (
            spec().handler(|_: Context, n: u32| async move { n }),
            Shape::Responder,
        ),
        (
            spec().result_handler(|_: Context, n: u32| async move { Ok::<_, String>(n) }),
            Shape::Responder,
        ),
        (
            spec().handler(|_: Context, n: u32| stream::iter(0..n)),
            Shape::Streamer,
        ),
        (
            spec().result_handler(|_: Context, n: u32| stream::iter([Ok::<_, String>(n)])),
            Shape::Streamer,
        ),
        (spec().handler(|_: Context| async { 1 }), Shape::Trigger),
        (
            spec().handler(|_: Context| stream::iter([1])),
            Shape::Publisher,
        ),
        (spec().watcher(|_: Context| async {}), Shape::Watcher),
        (
            spec().watcher(|_: Context| async { std::io::Result::Ok(()) }),
            Shape::Watcher,
        ),
    ]
}

mod functions {
    use super::*;

    type BoxStream<T> = futures::stream::BoxStream<'static, T>;

    /// Answers.
    #[agent]
    async fn responder(n: u32) -> u32 {
        n
    }

    /// Answers with nothing.
    #[agent]
    async fn swallower(ctx: Context, n: u32) {
        drop((ctx, n));
    }

    /// Streams.
    #[agent]
    fn streamer(n: u32) -> impl Stream<Item = u32> {
        stream::iter(0..n)
    }

    /// Streams results.
    #[agent]
    fn failing_streamer(_: Context, n: u32) -> impl Stream<Item = Result<u32, String>> + Send {
        stream::iter([Ok(n)])
    }

    /// Streams from a boxed stream.
    #[agent]
    fn boxed_streamer(n: u32) -> BoxStream<Result<u32, String>> {
        Box::pin(stream::iter([Ok(n)]))
    }

    /// Answers without an input.
    #[agent]
    async fn trigger() -> Result<u32, String> {
        Ok(1)
    }

    /// Answers with the id of its request.
    #[agent]
    async fn trigger_with_context(ctx: Context) -> String {
        ctx.request_id().to_string()
    }

    /// Publishes.
    #[agent]
    fn publisher() -> impl Stream<Item = u32> {
        stream::iter([1])
    }

    /// Publishes results.
    #[agent]
    fn failing_publisher(
        _: Context,
    ) -> std::pin::Pin<Box<dyn Stream<Item = Result<u32, String>> + Send>> {
        Box::pin(stream::iter([Ok(1)]))
    }

    /// Runs.
    #[agent]
    async fn watcher() {}

    /// Runs, and can fail.
    #[agent]
    async fn failing_watcher(_: Context) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn all() -> Vec<(Agent, Shape)> {
        let agents = agents![
            responder,
            swallower,
            streamer,
            failing_streamer,
            boxed_streamer,
            trigger,
            trigger_with_context,
            publisher,
            failing_publisher,
            watcher,
            failing_watcher,
        ];
        let shapes = [
            Shape::Responder,
            Shape::Responder,
            Shape::Streamer,
            Shape::Streamer,
            Shape::Streamer,
            Shape::Trigger,
            Shape::Trigger,
            Shape::Publisher,
            Shape::Publisher,
            Shape::Watcher,
            Shape::Watcher,
        ];
        agents.into_iter().zip(shapes).collect()
    }
}

mod methods {
    use std::sync::Arc;

    use super::*;

    struct Desk {
        words: Vec<String>,
    }

    #[agent(channel = "desk")]
    impl Desk {
        fn count(&self) -> usize {
            self.words.len()
        }

        /// Answers.
        #[agent]
        async fn responder(&self, n: usize) -> usize {
            n + self.count()
        }

        /// Streams while it borrows the desk.
        #[agent(name = "words", tags = ["text"])]
        fn streamer(&self, to: usize) -> impl Stream<Item = String> {
            stream::iter(self.words.iter().take(to).cloned())
        }

        /// Streams while it owns the desk.
        #[agent]
        fn owner(self: Arc<Self>, to: usize) -> impl Stream<Item = Result<String, String>> {
            stream::iter(0..to).map(move |n| self.words.get(n).cloned().ok_or("no more".to_owned()))
        }

        /// Answers without an input.
        #[agent(channel = "other")]
        async fn trigger(&self, ctx: Context) -> Result<String, String> {
            Ok(format!("{} for {}", self.words.len(), ctx.request_id()))
        }

        /// Publishes.
        #[agent]
        fn publisher(&self) -> impl Stream<Item = usize> {
            stream::iter([self.words.len()])
        }

        /// Runs.
        #[agent]
        async fn watcher(&self, ctx: Context) {
            ctx.cancellation().cancelled().await;
        }

        /// Has no receiver.
        #[agent]
        async fn free(n: u32) -> u32 {
            n
        }
    }

    pub(super) fn all() -> Vec<(Agent, Shape)> {
        let desk = Arc::new(Desk { words: Vec::new() });
        let shapes = [
            Shape::Responder,
            Shape::Streamer,
            Shape::Streamer,
            Shape::Trigger,
            Shape::Publisher,
            Shape::Watcher,
            Shape::Responder,
        ];
        let agents = Desk::agents(desk);
        let names: Vec<&str> = agents.iter().map(Agent::name).collect();
        assert_eq!(
            names,
            [
                "desk.responder",
                "desk.words",
                "desk.owner",
                "other.trigger",
                "desk.publisher",
                "desk.watcher",
                "desk.free",
            ]
        );
        agents.into_iter().zip(shapes).collect()
    }
}

#[test]
fn inferred_shape_determines_the_contract() {
    let every = [all(), all_with_context(), functions::all(), methods::all()];
    for (index, (agent, shape)) in every.into_iter().flatten().enumerate() {
        assert_eq!(agent.shape(), shape, "number {index}");
        let contract = agent.contract().unwrap();
        assert_eq!(contract.capabilities, shape.capabilities());
        let takes = matches!(shape, Shape::Responder | Shape::Streamer);
        assert_eq!(contract.input_schema.is_some(), takes, "number {index}");
        let streams = matches!(shape, Shape::Streamer | Shape::Publisher);
        assert_eq!(contract.chunk_schema.is_some(), streams, "number {index}");
        assert!(
            !(streams && contract.output_schema.is_some()),
            "number {index}"
        );
    }
}
