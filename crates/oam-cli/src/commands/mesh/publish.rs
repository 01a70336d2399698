use openagentmesh::protocol::subject::may_reply_to;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::MeshPublish;
use crate::connection::connect;
use crate::deadline::Deadline;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::input::{self, Source};
use crate::line::Line;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{live, shell, stdin};

/// A message as it is published.
enum Message {
    Json(Box<RawValue>),
    Text(String),
    Bytes(Vec<u8>),
}

pub(crate) async fn run(arguments: MeshPublish, printer: &Printer) -> Result<ExitCode, Failure> {
    let subject = arguments.subject.as_str();
    check(subject)?;
    let deadline = Deadline::after(Some(arguments.timeout));
    let reading = read(subject, arguments.message, arguments.raw, printer);
    let message = deadline.bound("the message was not read", reading).await?;
    let connecting = connect(arguments.target);
    let mesh = deadline
        .bound("not connected to the mesh", connecting)
        .await?;
    let (size, mut publish) = match message {
        Message::Json(json) => (json.get().len(), mesh.publish(subject, &json)),
        Message::Text(text) => (text.len(), mesh.publish_text(subject, text)),
        Message::Bytes(bytes) => (bytes.len(), mesh.publish_bytes(subject, bytes)),
    };
    for header in &arguments.headers {
        publish = publish.header(&header.name, &header.value);
    }
    if let Some(left) = deadline.left() {
        publish = publish.timeout(left);
    }
    publish.await?;
    // The server has the message once the connection is flushed.
    live::leave(mesh).await?;
    let line = published_line(subject, size, printer)?;
    Ok(live::print_line(printer, line).await?.into())
}

/// Checks that programs may publish on `subject`.
fn check(subject: &str) -> Result<(), Failure> {
    // The SDK names the rule that a malformed subject breaks.
    let is_reserved = subject.starts_with('$') || subject.starts_with("mesh.");
    let is_of_agents = subject.starts_with("mesh.agent.");
    if !is_reserved || is_of_agents || may_reply_to(subject) || subject.contains(['*', '>', ' ']) {
        return Ok(());
    }
    let message = format!(
        "invalid subject '{subject}': only the server and the processes of the mesh publish on it"
    );
    Err(Failure::usage(message).hint("use a subject of your program, such as orders.new"))
}

async fn read(
    subject: &str,
    argument: Option<String>,
    is_raw: bool,
    printer: &Printer,
) -> Result<Message, Failure> {
    let source = match &argument {
        Some(argument) => Source::of_argument(argument)?,
        None if stdin::is_terminal() => {
            return Err(Failure::usage("missing message")
                .hint("add JSON after the subject, @FILE, or - for stdin, which Ctrl-D ends"));
        }
        None => Some(Source::Stdin),
    };
    let (text, name) = match (source, argument) {
        (Some(source), _) => {
            let bytes = source.read("the message", printer).await?;
            if is_raw {
                return Ok(Message::Bytes(bytes));
            }
            let name = source.name();
            (input::text(bytes, &name, "invalid JSON message")?, name)
        }
        (None, argument) => {
            let text = argument.unwrap_or_default();
            if is_raw {
                return Ok(Message::Text(text));
            }
            (text, "the argument".to_owned())
        }
    };
    let json = input::without_mark(&text).trim();
    RawValue::from_string(json.to_owned())
        .map(Message::Json)
        .map_err(|error| not_json(subject, json, &name, &error))
}

fn not_json(subject: &str, text: &str, name: &str, error: &serde_json::Error) -> Failure {
    const MAX_HINT_BYTES: usize = 60;

    let failure = Failure::usage(format!("invalid JSON message in {name}: {error}"));
    let is_text = !text.starts_with(['{', '[', '"']) && !text.contains('\n');
    if text.is_empty() || !is_text || text.len() > MAX_HINT_BYTES {
        return failure.hint("nothing was sent; --raw publishes any bytes");
    }
    let quoted = Value::from(text).to_string();
    failure.hint(format!(
        "JSON text needs double quotes: oam mesh publish {} {}",
        shell::word(subject),
        shell::word(&quoted)
    ))
}

fn published_line(subject: &str, bytes: usize, printer: &Printer) -> Result<Line, Failure> {
    #[derive(Serialize)]
    struct Published<'p> {
        subject: &'p str,
        bytes: usize,
    }

    if printer.is_json() {
        return printer.document(&Published { subject, bytes });
    }
    let subject = on_one_line(subject);
    Ok(format!("published to {subject}, {bytes} bytes").into())
}
