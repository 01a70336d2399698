//! The JSON input of a request, from the command line or stdin.

use std::time::Duration;

use openagentmesh::{AgentMesh, AgentName, Error, ErrorCode};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::AgentRequest;
use crate::connection::connect;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::{shell, stdin};

/// A longer input is not repeated in a hint.
const MAX_HINT_BYTES: usize = 60;

/// No server accepts a message above this limit.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// Windows tools write this mark before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The input with its original digits; `None` for an agent without input.
struct Payload(Option<Box<RawValue>>);

/// A request, with its input, that is about to be sent to an agent of the mesh.
pub(crate) struct Request<'r> {
    /// The command, for hints.
    verb: &'static str,
    agent: AgentName,
    deadline: Deadline,
    printer: &'r Printer,
}

/// A request whose input was read.
pub(crate) struct Ready<'r> {
    request: Request<'r>,
    payload: Payload,
    /// The time that was left when the input was read.
    pub(crate) left: Option<Duration>,
}

impl<'r> Request<'r> {
    /// Connects to the mesh and reads the input: the argument, or stdin if that is `-`. Without an argument, stdin is
    /// read only if the contract of the agent has an input: it may be meant for another command, as in
    /// `while read NAME; do oam agent call $NAME; done`.
    pub(crate) async fn prepare(
        verb: &'static str,
        arguments: AgentRequest,
        timeout: Option<Duration>,
        printer: &'r Printer,
    ) -> Result<(Ready<'r>, AgentMesh), Failure> {
        let request = Request {
            verb,
            agent: AgentName::new(&arguments.name).map_err(Error::from)?,
            deadline: Deadline::after(timeout),
            printer,
        };
        // Invalid input is an error without a mesh.
        let payload = match arguments.payload.as_deref() {
            Some("-") => Some(request.read_stdin().await?),
            Some(text) => Some(request.parse_argument(text)?),
            None if stdin::is_terminal() => Some(Payload(None)),
            None => None,
        };
        let connecting = connect(arguments.target);
        let mesh = request
            .deadline
            .bound("not connected to the mesh", connecting)
            .await?;
        let payload = match payload {
            Some(payload) => payload,
            None => request.read_stdin_if_taken(&mesh).await?,
        };
        let ready = Ready {
            left: request.deadline.left(),
            request,
            payload,
        };
        Ok((ready, mesh))
    }

    async fn read_stdin_if_taken(&self, mesh: &AgentMesh) -> Result<Payload, Failure> {
        let contract = async { Ok(mesh.contract(&self.agent).await) };
        let contract = self.deadline.bound("no contract received", contract);
        match contract.await? {
            Ok(contract) if contract.input_schema.is_none() => Ok(Payload(None)),
            Err(error) if error.code() == &ErrorCode::NotFound => Err(error.into()),
            // A contract that cannot be read says nothing about the agent.
            Ok(_) | Err(_) => self.read_stdin().await,
        }
    }

    async fn read_stdin(&self) -> Result<Payload, Failure> {
        let reading = stdin::bytes(MAX_INPUT_BYTES + 1, self.printer);
        let bytes = self.deadline.bound("stdin did not end", reading).await?;
        if bytes.len() as u64 > MAX_INPUT_BYTES {
            return Err(Failure::mesh(
                ErrorCode::PayloadTooLarge,
                format!(
                    "the input is too large: no server accepts more than {MAX_INPUT_BYTES} bytes"
                ),
            )
            .hint("oam workspace put NAME FILE shares content of any size"));
        }
        if is_utf16(&bytes) {
            return Err(
                Failure::usage("invalid JSON input: stdin is UTF-16, JSON is UTF-8").hint(
                    "convert it with iconv -f UTF-16 -t UTF-8; in PowerShell, set \
                 $OutputEncoding = [Text.Encoding]::UTF8",
                ),
            );
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let position = error.utf8_error().valid_up_to();
            Failure::usage(format!(
                "invalid JSON input: byte {} of stdin is not UTF-8",
                position + 1
            ))
        })?;
        parse(&text).map_err(|error| {
            Failure::usage(format!("invalid JSON input: {error}")).hint(
                "nothing was sent; stdin must be one JSON value, and text needs double quotes",
            )
        })
    }

    fn parse_argument(&self, text: &str) -> Result<Payload, Failure> {
        parse(text).map_err(|error| {
            let text = trimmed(text);
            let is_unquoted_text = !text.starts_with(['{', '[', '"']) && !text.contains('\n');
            let failure = Failure::usage(format!("invalid JSON input: {error}"));
            if is_unquoted_text {
                let quoted = Value::String(text.to_owned()).to_string();
                failure.hint(format!(
                    "JSON text needs double quotes: oam agent {} {} {}",
                    self.verb,
                    self.agent,
                    shell::word(&quoted)
                ))
            } else {
                failure.hint("nothing was sent; put the JSON between single quotes in the shell")
            }
        })
    }
}

impl Ready<'_> {
    pub(crate) fn agent(&self) -> &AgentName {
        &self.request.agent
    }

    /// The payload of the request.
    pub(crate) fn json(&self) -> Option<&RawValue> {
        self.payload.0.as_deref()
    }

    /// The failure of the request. If another verb fits the agent, the hint is the command to use.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        let arguments = match self.json().map(RawValue::get) {
            None => String::new(),
            Some(json) if json.len() <= MAX_HINT_BYTES && !json.contains('\n') => {
                format!(" {}", shell::word(json))
            }
            Some(_) => ", with the same input".to_owned(),
        };
        let failure = Failure::wrong_verb(&error, &arguments).unwrap_or_else(|| error.into());
        self.request.deadline.with_whole_limit(failure, self.left)
    }
}

/// Parses a JSON text, which may be empty.
fn parse(text: &str) -> serde_json::Result<Payload> {
    let text = trimmed(text);
    if text.is_empty() {
        return Ok(Payload(None));
    }
    RawValue::from_string(text.to_owned()).map(|json| Payload(Some(json)))
}

fn trimmed(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim()
}

/// Whether the bytes begin as UTF-16: with a byte order mark, or with a JSON character of two bytes.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_utf16, parse};

    #[test]
    fn byte_order_mark_is_skipped() {
        for text in ["\u{feff}{\"a\": 1.50}\r\n", " {\"a\": 1.50}"] {
            let payload = parse(text).unwrap();
            assert_eq!(payload.0.unwrap().get(), "{\"a\": 1.50}");
        }
        assert!(parse("\u{feff}\r\n").unwrap().0.is_none());
    }

    #[test]
    fn utf16_is_recognised() {
        let little =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let big =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        for text in ["\u{feff}{}", "{}", "1"] {
            assert!(is_utf16(&little(text)), "{text}");
            assert!(is_utf16(&big(text)), "{text}");
            assert!(!is_utf16(text.as_bytes()), "{text}");
        }
        assert!(!is_utf16(b""));
        assert!(!is_utf16("\"ä\"".as_bytes()));
    }
}
