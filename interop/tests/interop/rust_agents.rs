//! Agents in Rust, with the types and the names of `python/agents.py`.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt, stream};
use openagentmesh::{BoxError, agent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    Formal,
    Friendly,
}

/// The origin of a text.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Origin {
    /// The author.
    pub(crate) author: String,
    pub(crate) year: Option<i64>,
}

/// A text to be summarised.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Summarize {
    /// The text to summarise.
    #[schemars(length(min = 1))]
    pub(crate) text: String,
    /// The number of words to keep.
    #[schemars(range(max = 100))]
    #[serde(default = "ten")]
    pub(crate) max_words: Option<u32>,
    /// The allowed tones.
    pub(crate) tones: Vec<Tone>,
    /// The origin of the text.
    pub(crate) origin: Origin,
}

#[expect(clippy::unnecessary_wraps, reason = "a default has the field's type")]
fn ten() -> Option<u32> {
    Some(10)
}

/// One field of each kind.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Gauge {
    pub(crate) tone: Option<Tone>,
    /// The origin, if known.
    pub(crate) origin: Option<Origin>,
    #[serde(default)]
    pub(crate) origins: Vec<Origin>,
    pub(crate) labels: BTreeMap<String, String>,
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) ratio: f64,
    #[serde(default)]
    pub(crate) exact: bool,
    #[schemars(regex(pattern = "^[A-Z]+$"))]
    pub(crate) code: Option<String>,
    pub(crate) pair: (i64, String),
}

/// Takes one field of each kind and returns their number.
#[agent]
pub(crate) async fn gauge(input: Gauge) -> usize {
    let optional = [
        input.tone.is_some(),
        input.origin.is_some(),
        !input.origins.is_empty(),
        input.exact,
        input.code.is_some(),
    ];
    3 + optional.into_iter().filter(|given| *given).count()
}

/// The summary of a text.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Summary {
    pub(crate) summary: String,
    pub(crate) words: u32,
}

/// Summarises a text.
#[agent(name = "summarizer", channel = "nlp", tags = ["text", "summarization"], version = "1.2.3")]
pub(crate) async fn summarize(request: Summarize) -> Summary {
    let limit = request.max_words.map_or(usize::MAX, |limit| limit as usize);
    let words: Vec<&str> = request.text.split_whitespace().take(limit).collect();
    Summary {
        summary: words.join(" "),
        words: words.len() as u32,
    }
}

/// Echoes a message back.
#[agent]
pub(crate) async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

/// Tells the time that every clock shows twice a day.
#[agent]
pub(crate) async fn noon() -> String {
    "12:00".to_owned()
}

/// Takes something and gives nothing.
#[agent]
pub(crate) async fn swallow(_food: Vec<i64>) {}

/// Fails in the given way.
#[agent]
pub(crate) async fn fragile(how: String) -> Result<String, BoxError> {
    match how.as_str() {
        "error" => Err("told to fail".into()),
        "mesh error" => {
            let error = openagentmesh::Error::new("rate_limited", "come back later");
            Err(error.with_detail("seconds", 5).into())
        }
        "panic" => panic!("told to panic"),
        _ => Ok(how),
    }
}

/// Returns the given number of letters.
#[agent]
pub(crate) async fn letters(count: usize) -> String {
    "x".repeat(count)
}

/// A part of something.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Piece {
    pub(crate) index: i64,
    pub(crate) text: String,
}

impl Piece {
    pub(crate) fn new(index: i64, text: &str) -> Self {
        Self {
            index,
            text: text.to_owned(),
        }
    }
}

/// Takes a text apart.
#[agent(name = "pieces", channel = "nlp", tags = ["text"])]
pub(crate) fn pieces(text: String) -> impl Stream<Item = Piece> {
    let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    let pieces = (0..).zip(words);
    stream::iter(pieces.map(|(index, text)| Piece { index, text }))
}

/// Counts.
#[agent]
pub(crate) fn numbers(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count)
}

/// Streams two pieces and fails in the given way.
#[agent]
pub(crate) fn stumble(how: String) -> impl Stream<Item = Result<Piece, BoxError>> {
    assert_ne!(how, "panic at once", "told to panic at once");
    let before = (0..2).map(|index| Ok(Piece::new(index, "before")));
    let failure = async move { fragile(how).await.map(|fine| Piece::new(2, &fine)) };
    stream::iter(before).chain(stream::once(failure))
}

/// Ticks.
#[agent]
pub(crate) fn ticker() -> impl Stream<Item = Piece> {
    stream::iter([Piece::new(0, "tick")]).chain(stream::pending())
}

/// Watches.
#[agent]
pub(crate) async fn sentry() {
    std::future::pending().await
}
