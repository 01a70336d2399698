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
        Self::record_at(tracing::Level::INFO)
    }

    fn record_at(level: tracing::Level) -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
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

/// Control characters, a change of direction, characters without width, and a forged line.
const HOSTILE: &str = "\u{1b}[31m\u{9b}\u{202e}\u{2066}\u{200b}\u{feff}\nWARN forged line\r";

fn assert_visible(log: &Log) {
    let log = log.0.lock().unwrap();
    let log = String::from_utf8_lossy(&log);
    for line in log.lines() {
        // The client logs on its own.
        if line.contains("async_nats") {
            continue;
        }
        let found = line
            .chars()
            .find(|c| c.is_control() || "\u{202e}\u{2066}\u{200b}\u{feff}".contains(*c));
        assert!(found.is_none(), "{found:?} in {line:?}");
        assert!(!line.starts_with("WARN forged"), "{line:?}");
    }
}

#[tokio::test]
async fn text_of_others_is_logged_escaped() {
    let (log, _guard) = Log::record_at(tracing::Level::TRACE);
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let jetstream = async_nats::jetstream::new(raw.clone());
    let failing = AgentSpec::new("failing", HOSTILE).result_handler(|| async {
        tracing::info!("failing begins");
        Err::<u32, _>(openagentmesh::Error::new(HOSTILE, HOSTILE))
    });
    let panicking = AgentSpec::new("panicking", "Panics.").handler(|| async {
        panic!("{HOSTILE}");
        #[allow(unreachable_code)]
        1
    });
    test.mesh.register((failing, panicking)).await.unwrap();
    for agent in ["failing", "panicking"] {
        let error = within(test.mesh.call::<u32>(agent, ())).await.unwrap_err();
        assert!(error.message().contains(HOSTILE), "{error}");
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(
                shown.contains("\\u{202e}") && !shown.contains('\u{202e}'),
                "{shown}"
            );
        }
        within(test.mesh.send(agent, ())).await.unwrap();
        let callback = test.mesh.send(agent, ()).on_reply(|_: u32| async {});
        within(callback).await.unwrap();
    }
    // Ids and reply subjects that a peer chooses.
    let id = HOSTILE.replace(['\n', '\r'], "");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Request-Id", &*id);
    let reply = format!("mesh.results.{}", id.replace(' ', ""));
    let sent = raw.publish_with_reply_and_headers("mesh.agent.failing", reply, headers, "".into());
    sent.await.unwrap();
    // Catalogs and contracts.
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let registry = jetstream.get_key_value("mesh-registry").await.unwrap();
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    for value in [quoted.clone(), format!("[{{\"name\":{quoted}}}]")] {
        let is_malformed = !value.starts_with('[');
        catalog.put("catalog", value.into()).await.unwrap();
        if is_malformed {
            // A value that is replaced before it is read is not logged.
            let is_logged =
                || async { (!log.lines("the last valid catalog").is_empty()).then_some(()) };
            crate::support::eventually(is_logged).await;
        }
    }
    let other = serde_json::json!({"name": "other", "description": HOSTILE}).to_string();
    for value in [quoted, other] {
        registry.put("unserved", value.into()).await.unwrap();
        within(test.mesh.contract("unserved")).await.unwrap_err();
    }
    within(test.mesh.call::<u32>(HOSTILE, ()))
        .await
        .unwrap_err();
    crate::support::eventually(|| async {
        let is_logged = !log.lines("the last valid catalog").is_empty();
        (is_logged && !log.lines("failing begins").is_empty()).then_some(())
    })
    .await;
    test.mesh.shutdown().await.unwrap();
    assert!(!log.lines("request failed").is_empty());
    assert_visible(&log);
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
#[expect(dead_code, reason = "only its decoding is tested")]
struct Renamed {
    #[serde(alias = "old")]
    new: String,
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
        AgentSpec::new("renamed", "Takes a name.").handler(|_: Renamed| async { 1 }),
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
    let names = log.lines("the input type takes a name that the contract does not have");
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        names[0].contains("agent=\"renamed\" name=\"old\""),
        "{names:?}"
    );
}
