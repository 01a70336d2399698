//! The log lines that an operator sees at INFO.

use std::io;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use openagentmesh::{AgentSpec, ErrorCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{TestMesh, within};

/// The log so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records the log of this thread at INFO as long as the guard lives.
    fn record() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines of the SDK and of the test that contain `text`.
    fn lines(&self, text: &str) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn connecting_serving_and_leaving_are_logged_at_info() {
    let (log, _guard) = Log::record();
    let test = TestMesh::start().await;
    let agents = ["shop.price", "shop.stock"]
        .map(|name| AgentSpec::new(name, "Answers.").handler(|| async { 1 }));
    test.mesh.register(agents).await.unwrap();
    let many: Vec<_> = (0..30)
        .map(|n| AgentSpec::new(format!("many.a{n:02}"), "Answers.").handler(|| async { 1 }))
        .collect();
    test.mesh.register(many).await.unwrap();
    let url = test.mesh.url().to_owned();
    test.mesh.shutdown().await.unwrap();
    test.mesh.shutdown().await.unwrap();

    let connected = log.lines("connected to the mesh");
    assert!(connected[0].contains(&url), "{connected:?}");
    let serving = log.lines("serving");
    assert_eq!(serving.len(), 2, "{serving:?}");
    assert!(serving[0].contains("serving shop.price, shop.stock"));
    assert!(serving[0].contains(&url) && serving[0].contains("count=2"));
    assert!(serving[1].contains("many.a09, …") && serving[1].contains("count=30"));
    assert!(!serving[1].contains("many.a10"));
    let left = log.lines("left the mesh");
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn failures_of_an_agent_are_logged_with_agent_request_and_cause() {
    let (log, _guard) = Log::record();
    let test = TestMesh::start().await;
    let price = AgentSpec::new("shop.price", "Fails.").handler(|article: u32| async move {
        assert!(article > 0, "the price list is empty");
        let error: openagentmesh::BoxError = match article {
            1 => openagentmesh::Error::new("out_of_stock", "none left").into(),
            _ => std::io::Error::other("the database is down").into(),
        };
        Err::<u32, _>(error)
    });
    test.mesh.register(price).await.unwrap();
    let mut ids = Vec::new();
    for input in [0, 1, 2] {
        let call = within(test.mesh.call::<u32>("shop.price", input)).await;
        ids.push(call.unwrap_err().request_id().unwrap().to_owned());
    }
    let refused = within(test.mesh.call::<u32>("shop.price", "text")).await;
    assert_eq!(refused.unwrap_err().code(), &ErrorCode::InvalidInput);

    let failed = log.lines("request failed");
    assert_eq!(
        failed.len(),
        3,
        "bad input is not logged at INFO: {failed:?}"
    );
    let causes = [
        "the price list is empty",
        "none left",
        "the database is down",
    ];
    let levels = ["WARN", "INFO", "WARN"];
    for (line, ((cause, level), id)) in failed.iter().zip(causes.iter().zip(levels).zip(&ids)) {
        assert!(line.contains(level), "{line}");
        assert!(
            line.contains("shop.price") && line.contains(id.as_str()),
            "{line}"
        );
        assert!(line.contains(cause), "{line}");
    }
}

#[tokio::test]
async fn log_lines_of_a_handler_carry_agent_and_request_id() {
    let (log, _guard) = Log::record();
    let test = TestMesh::start().await;
    let slow = AgentSpec::new("slow", "Logs.").handler(|ctx: openagentmesh::Context| async move {
        tracing::info!("slow begins");
        ctx.request_id().to_string()
    });
    let count = AgentSpec::new("count", "Logs.")
        .handler(|to: u32| futures::stream::iter(0..to).inspect(|n| tracing::info!("chunk {n}")));
    test.mesh.register((slow, count)).await.unwrap();
    let id: String = within(test.mesh.call("slow", ())).await.unwrap();
    let chunks = within(test.mesh.stream::<u32>("count", 2)).await.unwrap();
    let chunks: Vec<_> = within(futures::StreamExt::collect(chunks)).await;
    assert_eq!(chunks.len(), 2);

    let line = log.lines("slow begins").remove(0);
    assert!(line.contains("agent=slow"), "{line}");
    assert!(line.contains(&format!("request_id={id}")), "{line}");
    let line = log.lines("chunk 1").remove(0);
    assert!(line.contains("agent=count"), "{line}");
}

/// A text of digits, which the schema does not say.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[expect(dead_code, reason = "only its decoding is tested")]
struct Digits(String);

impl TryFrom<String> for Digits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Ok(Self(text)),
            false => Err(format!("'{text}' has other characters than digits")),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its decoding is tested")]
struct WrongSchema {
    #[schemars(with = "String")]
    count: u32,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its decoding is tested")]
struct WrongDefault {
    #[schemars(default)]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its decoding is tested")]
struct Restricted {
    #[schemars(length(min = 2), extend("format" = "uuid"))]
    id: Option<String>,
    #[schemars(range(min = 5))]
    count: u8,
    choice: Option<Choice>,
    pair: (u8, Option<String>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind")]
#[expect(dead_code, reason = "only its decoding is tested")]
enum Choice {
    One { size: u8 },
    Other { next: Option<Box<Choice>> },
}

#[tokio::test]
async fn contract_that_allows_more_than_its_type_takes_is_logged_as_a_warning() {
    let (log, _guard) = Log::record();
    let test = TestMesh::start().await;
    let agents = [
        AgentSpec::new("digits", "Takes digits.").handler(|_: Digits| async { 1 }),
        AgentSpec::new("schema", "Takes a count.").handler(|_: WrongSchema| async { 1 }),
        AgentSpec::new("default", "Takes a name.").handler(|_: WrongDefault| async { 1 }),
        AgentSpec::new("restricted", "Takes it all.").handler(|_: Restricted| async { 1 }),
        AgentSpec::new("address", "Takes it all.")
            .handler(|_: (std::net::IpAddr, char, std::num::NonZeroU8)| async { 1 }),
    ];
    test.mesh.register(agents).await.unwrap();
    let warnings = log.lines("the contract allows an input that the input type refuses");
    for (agent, input) in [
        ("digits", r#""a""#),
        ("schema", r#"{"count":"a"}"#),
        ("default", "{}"),
    ] {
        let line = warnings
            .iter()
            .find(|line| line.contains(&format!("agent=\"{agent}\"")));
        let line = line.unwrap_or_else(|| panic!("{agent}: {warnings:?}"));
        assert!(
            line.contains("WARN") && line.contains(&format!("input={input}")),
            "{line}"
        );
    }
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}
