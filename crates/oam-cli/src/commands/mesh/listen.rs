use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use openagentmesh::Event;
use openagentmesh::protocol::header::REQUEST_ID;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::cli::MeshListen;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::printer::{FAINT, Printer, STRONG};
use crate::text::{clock, on_one_line, printable, timestamp};
use crate::{json, live};

/// Characters of a request id in a line, which tell apart the requests on a screen.
const ID_CHARS: usize = 8;

pub(crate) async fn run(arguments: MeshListen, printer: &Printer) -> Result<ExitCode, Failure> {
    let mesh = connect(arguments.target).await?;
    let mut request = mesh.subscribe_subject::<Value>(&arguments.subject);
    if let Some(timeout) = arguments.timeout {
        request = request.timeout(timeout);
    }
    let messages = request.raw().await?;
    printer.hint_for_people(&format!(
        "listening on {}; Ctrl-C ends it",
        arguments.subject
    ));
    if hides_replies(&arguments.subject) {
        printer.hint_for_people(
            "replies are not shown: each goes to the inbox of its caller; mesh.errors.> has copies of errors",
        );
    }
    let with_headers = arguments.headers;
    let lines = live::report_recoverable_errors(printer, messages).map(|message| {
        let message = message?;
        let body = Body::read(&message.data);
        match printer.is_json() {
            true => as_json(&message, body, printer),
            false => Ok(for_people(&message, body, with_headers)),
        }
    });
    let ended = live::print(printer, lines, arguments.count, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
}

/// Whether the subject, which may have wildcards, has requests to agents but not their replies.
fn hides_replies(subject: &str) -> bool {
    let mut segments = subject.split('.');
    let is = |segment: Option<&str>, name: &str| segment.is_some_and(|s| [name, "*"].contains(&s));
    let (first, second) = (segments.next(), segments.next());
    let is_of_agents = is(second, "agent") || second == Some(">");
    is(first, "mesh") && is_of_agents && !subject.ends_with(".events")
}

/// The body of a message, classified by its bytes: not every sender sets a content type.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'m> {
    Json(&'m RawValue),
    Text(&'m str),
    #[serde(serialize_with = "base64")]
    Bytes(&'m [u8]),
}

impl<'m> Body<'m> {
    fn read(bytes: &'m [u8]) -> Self {
        match (serde_json::from_slice(bytes), str::from_utf8(bytes)) {
            (Ok(json), _) => Self::Json(json),
            (_, Ok(text)) => Self::Text(text),
            _ => Self::Bytes(bytes),
        }
    }
}

fn base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

/// One line: the time of arrival, the start of the request id, the subject and the body. The headers follow, a line each.
fn for_people<T>(message: &Event<T>, body: Body<'_>, with_headers: bool) -> Line {
    let time = clock(OffsetDateTime::now_utc());
    let id = message.header(REQUEST_ID).unwrap_or("-");
    let id: String = on_one_line(id).chars().take(ID_CHARS).collect();
    let subject = on_one_line(message.subject());
    let body = match body {
        Body::Json(json) => json::on_one_line(json.get()),
        Body::Text("") => format!("{FAINT}(empty){FAINT:#}"),
        Body::Text(text) => printable(text),
        Body::Bytes(bytes) => format!("{FAINT}({} bytes){FAINT:#}", bytes.len()),
    };
    let mut line =
        format!("{FAINT}{time}  {id:<ID_CHARS$}{FAINT:#}  {STRONG}{subject}{STRONG:#}  {body}");
    if with_headers {
        for (name, value) in message.headers().iter() {
            let header = on_one_line(&format!("{name}: {value}"));
            line.push_str(&format!("\n  {FAINT}{header}{FAINT:#}"));
        }
    }
    line.into()
}

#[derive(Serialize)]
struct Message<'m> {
    time: String,
    subject: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'m str>,
    headers: Map<String, Value>,
    body: Body<'m>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

fn as_json<T>(message: &Event<T>, body: Body<'_>, printer: &Printer) -> Result<Line, Failure> {
    let message = Message {
        time: timestamp(OffsetDateTime::now_utc()),
        subject: message.subject(),
        request_id: message.header(REQUEST_ID),
        reply: message.reply_to(),
        headers: headers(message),
        encoding: matches!(body, Body::Bytes(_)).then_some("base64"),
        body,
    };
    printer.json_line(&message)
}

/// The headers; a repeated header has an array of values.
fn headers<T>(message: &Event<T>) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in message.headers().iter() {
        match map.get_mut(name) {
            None => {
                map.insert(name.to_owned(), value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
        }
    }
    map
}
