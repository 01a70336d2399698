//! One request to a host, and the messages that answer it.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use openagentmesh_protocol::{AgentName, RequestId, header, subject};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::settings::Settings;
use crate::verdicts::Verdicts;
use crate::wire::{Mesh, Outgoing, header as header_of, is_no_responders};

/// The number of chunks after which an endless stream is left.
pub(crate) const MAX_CHUNKS: usize = 500;
/// The number of bytes after which an endless stream is left.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The answers of one request take at most so many times the timeout of one.
const MAX_TIMEOUTS: u32 = 4;

/// The host that is checked: one agent of it.
#[derive(Clone, Copy)]
pub(crate) struct Host<'c> {
    pub(crate) mesh: &'c Mesh,
    pub(crate) name: &'c AgentName,
    pub(crate) settings: Settings,
    pub(crate) verdicts: &'c Verdicts,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) id: String,
    pub(crate) message: Outgoing,
    /// Whether a reply subject is added.
    has_inbox: bool,
}

/// The messages of a host that belong to one request.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) id: String,
    pub(crate) replies: Vec<Message>,
    pub(crate) probes: Vec<Message>,
    pub(crate) chunks: Vec<Message>,
    pub(crate) letters: Vec<Message>,
    /// Whether the server reported that the agent has no subscriber.
    pub(crate) is_unserved: bool,
    bytes: usize,
}

#[derive(Clone, Copy)]
enum Source {
    Reply,
    Chunk,
    Letter,
}

impl Ask {
    /// A call with `body`.
    pub(crate) fn call(name: &AgentName, body: &Bytes) -> Self {
        Self::with_id(name, body, RequestId::random().to_string())
    }

    /// A call with an id of its own.
    pub(crate) fn with_id(name: &AgentName, body: &Bytes, id: String) -> Self {
        let message = Outgoing::to(subject::agent(name)).body(body.clone());
        Self {
            message: message.header(header::REQUEST_ID, &id),
            id,
            has_inbox: true,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.message = self.message.header(name, value);
        self
    }

    /// Asks for a stream.
    pub(crate) fn stream(self) -> Self {
        self.header(header::STREAM, "true")
    }

    /// Asks by the verb that fits the agent.
    pub(crate) fn by(self, is_stream: bool) -> Self {
        if is_stream { self.stream() } else { self }
    }

    pub(crate) fn without_headers(mut self) -> Self {
        self.message.headers = async_nats::HeaderMap::new();
        self
    }

    pub(crate) fn reply_on(mut self, subject: String) -> Self {
        self.message.reply = Some(subject);
        self
    }

    pub(crate) fn without_reply(mut self) -> Self {
        self.has_inbox = false;
        self
    }

    pub(crate) fn on(mut self, subject: String) -> Self {
        self.message.subject = subject;
        self
    }
}

impl Host<'_> {
    /// Sends a request and collects the answers: until the reply or the end of the stream, and for the quiet time after
    /// it. Without an answer, until the timeout.
    pub(crate) async fn exchange(&self, ask: Ask) -> Result<Observed, Error> {
        let can_answer = ask.has_inbox || ask.message.reply.is_some();
        let limit = match can_answer {
            true => self.settings.answer_timeout,
            false => self.settings.quiet_time,
        };
        self.exchange_within(ask, limit).await
    }

    /// As [`exchange`](Self::exchange), for a request that must not be answered: waits for the quiet time.
    pub(crate) async fn exchange_quietly(&self, ask: Ask) -> Result<Observed, Error> {
        self.exchange_within(ask, self.settings.quiet_time).await
    }

    async fn exchange_within(&self, mut ask: Ask, limit: Duration) -> Result<Observed, Error> {
        let client = &self.mesh.client;
        if ask.has_inbox && ask.message.reply.is_none() {
            ask.message.reply = Some(client.new_inbox());
        }
        let mut subjects = vec![(Source::Letter, subject::errors(self.name))];
        if let Some(reply) = &ask.message.reply {
            subjects.push((Source::Reply, reply.clone()));
        }
        if !ask.message.headers.is_empty() {
            subjects.push((Source::Chunk, format!("mesh.stream.{}", ask.id)));
        }
        let mut sources: Vec<BoxStream<'_, (Source, Message)>> = Vec::new();
        for (source, subject) in subjects {
            let subscribed = client.subscribe(subject).await;
            let subscriber = subscribed.map_err(|error| Error::Message(error.to_string()))?;
            sources.push(subscriber.map(move |message| (source, message)).boxed());
        }
        self.mesh.settle().await?;
        let mut observed = Observed {
            id: ask.id,
            ..Observed::default()
        };
        self.mesh.send(ask.message).await?;
        self.collect(select_all(sources), &mut observed, limit)
            .await;
        Ok(observed)
    }

    async fn collect(
        &self,
        mut messages: impl futures::Stream<Item = (Source, Message)> + Unpin,
        observed: &mut Observed,
        limit: Duration,
    ) {
        let quiet_time = self.settings.quiet_time;
        let end = Instant::now() + limit * MAX_TIMEOUTS;
        let mut deadline = Instant::now() + limit;
        let mut is_done = false;
        while let Ok(Some((source, message))) = timeout_at(deadline.min(end), messages.next()).await
        {
            observed.add(source, message);
            if observed.is_full() {
                return;
            }
            if !is_done && observed.is_complete() {
                is_done = true;
                deadline = Instant::now() + quiet_time;
            } else if !is_done {
                deadline = Instant::now() + limit;
            }
        }
    }
}

impl Observed {
    fn add(&mut self, source: Source, message: Message) {
        self.bytes += message.length;
        match source {
            Source::Reply if is_no_responders(&message) => self.is_unserved = true,
            Source::Reply if header_of(&message, header::PROBE).is_some() => {
                self.probes.push(message)
            }
            Source::Reply => self.replies.push(message),
            Source::Chunk => self.chunks.push(message),
            Source::Letter if self.is_own(&message) => self.letters.push(message),
            // Of another request.
            Source::Letter => {}
        }
    }

    fn is_own(&self, letter: &Message) -> bool {
        header_of(letter, header::REQUEST_ID) == Some(&self.id)
            || error_object(letter).is_some_and(|object| object["request_id"] == self.id.as_str())
    }

    fn is_full(&self) -> bool {
        let messages =
            self.chunks.len() + self.replies.len() + self.letters.len() + self.probes.len();
        messages >= MAX_CHUNKS || self.bytes >= MAX_BYTES
    }

    /// Whether everything that belongs to an answer has arrived.
    fn is_complete(&self) -> bool {
        let is_answered = !self.replies.is_empty() || self.end().is_some();
        self.is_unserved || is_answered && (self.error().is_none() || !self.letters.is_empty())
    }

    /// The message that ends the stream.
    pub(crate) fn end(&self) -> Option<&Message> {
        self.chunks
            .iter()
            .find(|chunk| header_of(chunk, header::STREAM_END) == Some("true") || is_error(chunk))
    }

    /// The first error, in a reply or at the end of a stream.
    pub(crate) fn error(&self) -> Option<&Message> {
        self.replies
            .iter()
            .chain(&self.chunks)
            .find(|message| is_error(message))
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> Option<String> {
        let object = error_object(self.error()?)?;
        Some(object["code"].as_str()?.to_owned())
    }

    /// The output of the first reply.
    pub(crate) fn output(&self) -> Option<&Message> {
        self.replies.first().filter(|reply| !is_error(reply))
    }

    /// A short description of the answer, for reasons.
    pub(crate) fn describe(&self) -> String {
        if self.is_unserved {
            return "no subscriber".to_owned();
        }
        if let Some(error) = self.error() {
            let object = error_object(error).unwrap_or_default();
            let text = |field: &str| object[field].as_str().unwrap_or("?").to_owned();
            return format!("the error {}: {}", text("code"), text("message"));
        }
        match (self.replies.len(), self.chunks.len()) {
            (0, 0) => "no answer".to_owned(),
            (0, chunks) => format!("{chunks} chunks"),
            _ => "an output".to_owned(),
        }
    }
}

/// Whether the message is an error by its status, or by its body where the header is missing.
pub(crate) fn is_error(message: &Message) -> bool {
    match header_of(message, header::STATUS) {
        Some(status) => status == "error",
        None => error_object(message).is_some_and(|object| object["code"].is_string()),
    }
}

/// The body as a JSON object.
pub(crate) fn error_object(message: &Message) -> Option<Value> {
    let body: Value = serde_json::from_slice(&message.payload).ok()?;
    body.is_object().then_some(body)
}
