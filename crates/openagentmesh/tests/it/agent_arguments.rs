//! The arguments and attributes of `#[agent]`: what they make of an agent.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, Context, ErrorCode, IntoAgents, agent, agents};

use crate::support::{Alive, TestMesh, within};

const DESCRIPTION: &str = "Is described by a constant.";
const VERSION: &str = "3.2.1";
const LIMIT: Duration = Duration::from_millis(50);

/// Is hidden by the description.
#[agent(description = DESCRIPTION, version = VERSION, tags = ["a", DESCRIPTION])]
async fn constant() {}

#[agent]
#[doc = include_str!("description.md")]
async fn from_file(_: u32) {}

/// Has one line, and
#[doc = concat!("one from a ", "macro.")]
#[agent]
async fn mixed(_: u32) {}

/// Is never built.
#[agent]
#[cfg(not(test))]
async fn missing(_: NoSuchType) -> NoSuchType {}

/// Is built.
#[agent]
#[cfg(test)]
async fn present(n: u32) -> u32 {
    n
}

/// May be repeated.
#[agent(idempotent, queue = 3)]
async fn repeatable(n: u32) -> u32 {
    n
}

struct Desk;

#[agent(channel = "desk")]
impl Desk {
    const TEXT: &'static str = "Is described by the type.";

    /// Is never built.
    #[agent]
    #[cfg(not(test))]
    async fn missing(&self, _: NoSuchType) -> NoSuchType {}

    /// Is built.
    #[cfg(test)]
    #[agent(description = Self::TEXT)]
    async fn present(&self) {}
}

fn descriptions(agents: impl IntoIterator<Item = Agent>) -> Vec<(String, String)> {
    let agents = agents.into_iter();
    agents
        .map(|agent| {
            let contract = agent.contract().unwrap();
            (contract.name.to_string(), contract.description.clone())
        })
        .collect()
}

#[test]
fn description_is_a_constant_a_file_or_a_doc_comment() {
    let described = descriptions(agents![constant, from_file, mixed]);
    let expected = [
        ("constant", DESCRIPTION),
        ("from_file", "Reads from a file."),
        ("mixed", "Has one line, and one from a macro."),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(described, expected);
    let contract = agents![constant][0].contract().unwrap();
    assert_eq!(contract.version, VERSION);
    assert_eq!(contract.tags, ["a", DESCRIPTION]);
}

#[test]
fn agent_that_is_configured_out_is_not_listed() {
    let described = descriptions(Desk::agents(Desk));
    let expected = ("desk.present".to_owned(), Desk::TEXT.to_owned());
    assert_eq!(described, [expected]);
    assert_eq!(agents![present][0].name(), present::NAME);
}

#[test]
fn agents_are_one_many_or_a_tuple_of_both() {
    let spec = |name: &str| AgentSpec::new(name, "Does something.").handler(|| async {});
    let names = |agents: Vec<Agent>| -> Vec<String> {
        agents.iter().map(|agent| agent.name().to_owned()).collect()
    };
    assert_eq!(names(spec("a").into_agents()), ["a"]);
    assert_eq!(names(Some(spec("a")).into_agents()), ["a"]);
    assert_eq!(names(["a", "b"].map(spec).into_agents()), ["a", "b"]);
    let iterator = ["a", "b"].into_iter().map(spec);
    assert_eq!(names(iterator.into_agents()), ["a", "b"]);
    let lists = vec![vec![spec("a")], vec![], vec![spec("b")]];
    assert_eq!(names(lists.into_agents()), ["a", "b"]);
    let tuple = (
        agents![constant],
        (spec("a"), Desk::agents(Desk)),
        vec![spec("b")],
    );
    assert_eq!(
        names(tuple.into_agents()),
        ["constant", "a", "desk.present", "b"]
    );
}

#[test]
fn contract_of_an_agent_validates_inputs() {
    let agent = AgentSpec::new("double", "Doubles.").handler(|n: u8| async move { 2 * n });
    let contract: openagentmesh::Contract = agent.contract().unwrap();
    contract.validate(7).unwrap();
    let error = contract.validate(300).unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

/// Never replies.
#[agent(timeout = LIMIT)]
async fn stuck(ctx: Context, _: u32) -> u32 {
    assert!(ctx.time_left().unwrap() <= LIMIT);
    std::future::pending().await
}

/// Never streams.
#[agent(timeout = "50ms")]
fn stuck_stream(_: u32) -> impl Stream<Item = u32> {
    stream::iter([1]).chain(stream::pending())
}

/// Replies in time.
#[agent(timeout = "1h")]
async fn quick(ctx: Context, n: u32) -> u32 {
    assert!(ctx.time_left().unwrap() <= Duration::from_secs(30));
    n
}

#[tokio::test]
async fn run_beyond_the_timeout_is_cancelled() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let guards = alive.clone();
    let counted = AgentSpec::new("counted", "Never replies.")
        .timeout(LIMIT)
        .handler(move |_: u32| {
            let guard = guards.guard();
            async move {
                let _guard = guard;
                std::future::pending::<u32>().await
            }
        });
    let mesh = &test.mesh;
    mesh.register((agents![stuck, stuck_stream, quick], counted))
        .await
        .unwrap();

    for name in ["stuck", "counted"] {
        let error = within(mesh.call::<u32>(name, 1)).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Timeout);
        let expected = format!(
            "the handler of agent '{name}' did not finish within the agent's timeout of 50ms"
        );
        assert_eq!(error.message(), expected);
    }
    alive.are(0).await;
    let mut chunks = within(stuck_stream::stream(mesh, 1)).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    // The caller's timeout is earlier than that of the agent.
    assert_eq!(within(quick::call(mesh, 7)).await.unwrap(), 7);
}

#[tokio::test]
async fn timeout_of_a_request_in_the_queue_begins_when_it_runs() {
    let test = TestMesh::start().await;
    let spec = AgentSpec::new("slow", "Takes most of its timeout.")
        .concurrency(1)
        .timeout(Duration::from_secs(2));
    let slow = spec.handler(|n: u32| async move {
        tokio::time::sleep(Duration::from_millis(900)).await;
        n
    });
    test.mesh.register(slow).await.unwrap();
    let calls = (0..4).map(|n| test.mesh.call::<u32>("slow", n));
    let replies = within(futures::future::try_join_all(calls)).await.unwrap();
    assert_eq!(replies, [0, 1, 2, 3]);
}

#[tokio::test]
async fn timeout_that_does_not_fit_is_refused() {
    let test = TestMesh::start().await;
    let spec = || AgentSpec::new("x", "Does something.");
    let cases = [
        (
            spec().timeout(LIMIT).watcher(|| async {}),
            "a watcher runs while it is served",
        ),
        (
            spec().timeout(LIMIT).handler(|| stream::iter([1])),
            "a publisher runs while it is served",
        ),
        (
            spec().timeout(Duration::ZERO).handler(|| async {}),
            "0 s leaves no time",
        ),
    ];
    for (agent, reason) in cases {
        let error = within(test.mesh.register(agent)).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput);
        assert!(error.message().contains(reason), "{error}");
    }
}

#[test]
fn idempotent_agent_says_so_in_its_contract() {
    let contract = agents![repeatable][0].contract().unwrap();
    assert!(contract.idempotent);
    let wire = serde_json::to_value(&contract).unwrap();
    assert_eq!(wire["x-agentmesh"]["idempotent"], true);
    // A contract that does not say it is as it was before.
    let contract = agents![present][0].contract().unwrap();
    let wire = serde_json::to_value(&contract).unwrap();
    assert!(wire["x-agentmesh"].get("idempotent").is_none());
}
