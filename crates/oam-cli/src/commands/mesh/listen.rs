use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use openagentmesh::Event;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::cli::MeshListen;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::json::on_one_line;
use crate::line::Line;
use crate::live;
use crate::printer::{FAINT, Printer, STRONG};
use crate::text::printable;

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
    let show = if printer.is_json() {
        as_json
    } else {
        for_people
    };
    let lines = live::report_recoverable_errors(printer, messages).map(|message| {
        message.and_then(|message| show(&message, Body::read(&message.data), printer))
    });
    let ended = live::print(printer, lines, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
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

fn for_people<T>(message: &Event<T>, body: Body<'_>, _: &Printer) -> Result<Line, Failure> {
    let subject = printable(message.subject());
    let body = match body {
        Body::Json(json) => on_one_line(json.get()),
        Body::Text("") => format!("{FAINT}(empty){FAINT:#}"),
        Body::Text(text) => printable(text),
        Body::Bytes(bytes) => format!("{FAINT}({} bytes){FAINT:#}", bytes.len()),
    };
    Ok(format!("{STRONG}{subject}{STRONG:#}  {body}").into())
}

#[derive(Serialize)]
struct Message<'m> {
    subject: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'m str>,
    headers: Map<String, Value>,
    body: Body<'m>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

fn as_json<T>(message: &Event<T>, body: Body<'_>, printer: &Printer) -> Result<Line, Failure> {
    let message = Message {
        subject: message.subject(),
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
