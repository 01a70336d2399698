use std::io::{IsTerminal, Read};

use openagentmesh::{AgentName, ErrorCode};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::AgentCall;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentCall, printer: &Printer) -> Result<(), Failure> {
    let name = AgentName::new(&arguments.name).map_err(openagentmesh::Error::from)?;
    let input = parse(read(arguments.payload).await?, &name)?;
    let mesh = connect(arguments.target).await?;
    // The raw text keeps what the agent wrote, digit by digit.
    let reply: Box<RawValue> = mesh.call(&name, &input).timeout(arguments.timeout).await?;
    if arguments.json {
        let value: Value = serde_json::from_str(reply.get()).map_err(|error| {
            Failure::mesh(
                ErrorCode::HandlerError,
                format!("the reply is not JSON: {error}"),
            )
        })?;
        return printer.json(&value);
    }
    printer.line(reply.get());
    Ok(())
}

/// The payload as it was typed or piped; `None` when there is none.
async fn read(argument: Option<String>) -> Result<Option<String>, Failure> {
    let text = match argument.as_deref() {
        Some("-") => from_stdin().await?,
        Some(text) => text.to_owned(),
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => from_stdin().await?,
    };
    Ok((!text.trim().is_empty()).then_some(text))
}

async fn from_stdin() -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    });
    match read.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(Failure::usage(format!("stdin cannot be read: {error}"))),
        Err(error) => Err(Failure::usage(format!("stdin was not read: {error}"))),
    }
}

fn parse(text: Option<String>, name: &AgentName) -> Result<Option<Box<RawValue>>, Failure> {
    let Some(text) = text else { return Ok(None) };
    RawValue::from_string(text.trim().to_owned())
        .map(Some)
        .map_err(|error| {
            let text = text.trim();
            let is_bare_words = !text.starts_with(['{', '[', '"']) && !text.contains('\n');
            let failure = Failure::usage(format!("the payload is not JSON: {error}"));
            if is_bare_words {
                let quoted = Value::String(text.to_owned());
                failure.hint(format!(
                    "a text has quotes of its own: oam agent call {name} '{quoted}'"
                ))
            } else {
                failure.hint("nothing was sent; put the JSON between single quotes in the shell")
            }
        })
}
