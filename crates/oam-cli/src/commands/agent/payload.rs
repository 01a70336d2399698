//! The JSON input of a request: from the command line, a file, stdin or an editor.

use std::path::Path;
use std::time::Duration;

use openagentmesh::protocol::Verb;
use openagentmesh::{AgentMesh, AgentName, Contract, Error, ErrorCode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::unfit::{self, Command};
use crate::cli::{AgentRequest, Header};
use crate::connection::connect;
use crate::deadline::Deadline;
use crate::editor::{self, Edited};
use crate::failure::Failure;
use crate::input::{self, Field, Source};
use crate::printer::Printer;
use crate::{json, schema, stdin};

/// A longer input is not repeated in a hint.
const MAX_HINT_BYTES: usize = 60;

/// The input with its original digits; `None` for an agent without input.
struct Payload(Option<Box<RawValue>>);

/// The input as far as it is known without the mesh.
enum Given {
    Nothing,
    Json(Payload),
    /// The types of fields are those of the contract.
    Fields(Vec<Field>),
}

/// A request, with its input, that is about to be sent to an agent of the mesh.
pub(crate) struct Request<'r> {
    command: Command,
    deadline: Deadline,
    timeout: Option<Duration>,
    printer: &'r Printer,
}

/// A request whose input was read.
pub(crate) struct Ready<'r> {
    request: Request<'r>,
    payload: Payload,
    edited: Option<Edited>,
    pub(crate) headers: Vec<Header>,
    /// The time that was left when the input was read.
    pub(crate) left: Option<Duration>,
}

impl<'r> Request<'r> {
    /// Connects to the mesh and reads the input. Without an argument, stdin is read only if the contract of the agent has
    /// an input: it may be meant for another command, as in `while read NAME; do oam agent call $NAME; done`.
    pub(crate) async fn prepare(
        verb: Verb,
        arguments: AgentRequest,
        timeout: Option<Duration>,
        printer: &'r Printer,
    ) -> Result<(Ready<'r>, AgentMesh), Failure> {
        let mut request = Request {
            command: Command {
                verb,
                agent: AgentName::new(&arguments.name).map_err(Error::from)?,
                arguments: arguments.input,
            },
            deadline: Deadline::after(timeout),
            timeout,
            printer,
        };
        // Invalid input is an error without a mesh.
        let given = request.read_arguments().await?;
        let connecting = connect(arguments.target);
        let mesh = request
            .deadline
            .bound("not connected to the mesh", connecting)
            .await?;
        let (payload, edited) = request.complete(given, arguments.edit, &mesh).await?;
        let ready = Ready {
            left: request.deadline.left(),
            request,
            payload,
            edited,
            headers: arguments.headers,
        };
        Ok((ready, mesh))
    }

    async fn read_arguments(&self) -> Result<Given, Failure> {
        let arguments = &self.command.arguments;
        if let [argument] = arguments.as_slice() {
            if let Some(source) = Source::of_argument(argument)? {
                return self.read(&source).await.map(Given::Json);
            }
            match parse(argument) {
                Ok(payload) => return Ok(Given::Json(payload)),
                Err(error) if !Field::is_field(argument) => {
                    return Err(self.not_json(argument, &error));
                }
                Err(_) => {}
            }
        }
        match arguments.as_slice() {
            [] => Ok(Given::Nothing),
            words if !words.iter().any(|word| Field::is_field(word)) => {
                let failure = Failure::usage(format!(
                    "invalid input: {} arguments; the input is one JSON value, or KEY=TEXT for each member",
                    words.len()
                ));
                Err(failure.hint(self.command.with_text(&words.join(" "))))
            }
            fields => {
                let reading = Field::read_all(fields, self.printer);
                let fields = self
                    .deadline
                    .bound("the input was not read", reading)
                    .await?;
                Ok(Given::Fields(fields))
            }
        }
    }

    /// The payload, with all that depends on the contract of the agent, and the text that was edited.
    async fn complete(
        &mut self,
        given: Given,
        edit: bool,
        mesh: &AgentMesh,
    ) -> Result<(Payload, Option<Edited>), Failure> {
        // A send to an unknown agent would seem to succeed.
        let is_checked = edit || self.command.verb == Verb::Send;
        let given = match given {
            Given::Json(payload) if payload.0.is_some() && !is_checked => {
                return Ok((payload, None));
            }
            given => given,
        };
        let contract = self.contract(mesh).await?;
        let known = contract.as_ref().ok();
        if known.is_some_and(|contract| contract.capabilities.mismatch(self.command.verb).is_some())
        {
            // The verb is the problem, which the request reports.
            return Ok((payload_for_any_verb(given, known), None));
        }
        let takes_input = known.is_none_or(|contract| contract.input_schema.is_some());
        let payload = match given {
            Given::Json(payload) => payload,
            Given::Fields(fields) => self.object(&fields, contract.as_ref())?,
            Given::Nothing if edit || stdin::is_terminal() || !takes_input => Payload(None),
            Given::Nothing => self.read(&Source::Stdin).await?,
        };
        if edit {
            let contract = contract?;
            let (payload, edited) = self.edit(payload, &contract).await?;
            return Ok((payload, Some(edited)));
        }
        if let Some(contract) = known
            && payload.0.is_none()
            && takes_input
            && is_invalid(contract, &Value::Null).is_some()
        {
            return Err(schema::missing_input(contract, self.command.verb.as_str()));
        }
        Ok((payload, None))
    }

    /// The contract of the agent. One that cannot be read says nothing about the agent.
    async fn contract(&self, mesh: &AgentMesh) -> Result<Result<Contract, Error>, Failure> {
        let contract = async { Ok(mesh.contract(&self.command.agent).await) };
        let contract = self.deadline.bound("no contract received", contract);
        match contract.await? {
            Err(error) if error.code() == &ErrorCode::NotFound => Err(error.into()),
            contract => Ok(contract),
        }
    }

    async fn read(&self, source: &Source) -> Result<Payload, Failure> {
        let problem = match source {
            Source::Stdin => "stdin did not end",
            Source::File(_) => "the input was not read",
        };
        let reading = source.read("the input", self.printer);
        let bytes = self.deadline.bound(problem, reading).await?;
        let name = source.name();
        let text = input::text(bytes, &name, "invalid JSON input")?;
        parse(&text).map_err(|error| {
            Failure::usage(format!("invalid JSON input: {error}")).hint(format!(
                "nothing was sent; {name} must be one JSON value, and text needs double quotes"
            ))
        })
    }

    /// The failure of an argument that is neither JSON nor a field.
    fn not_json(&self, argument: &str, error: &serde_json::Error) -> Failure {
        let text = trimmed(argument);
        let failure = Failure::usage(format!("invalid JSON input: {error}"));
        if text.starts_with(['{', '[', '"']) || text.contains('\n') {
            return failure
                .hint("nothing was sent; put the JSON between single quotes in the shell");
        }
        if Path::new(text).is_file() {
            let command = self.command.with(&format!("@{text}"));
            return failure.hint(format!("the content of the file: {command}"));
        }
        let command = self.command.with_text(text);
        failure.hint(format!("JSON text needs double quotes: {command}"))
    }

    fn object(
        &self,
        fields: &[Field],
        contract: Result<&Contract, &Error>,
    ) -> Result<Payload, Failure> {
        let contract = contract.map_err(|error| {
            let cause = error.message();
            let message =
                format!("the types of the members are unknown: {cause}; write the input as JSON");
            Failure::mesh(error.code().clone(), message)
        })?;
        let Some(schema) = &contract.input_schema else {
            let message = format!("invalid input: agent '{}' takes none", self.command.agent);
            return Err(Failure::usage(message).hint(self.command.without_input()));
        };
        let object = input::object(fields, schema);
        let object = object.map_err(|error| unfit::failure(error, &self.command, schema))?;
        match is_invalid(contract, &object) {
            None => Ok(Payload(Some(object))),
            Some(error) => Err(self.invalid(error)),
        }
    }

    /// Lets the user edit the payload, or an example if there is none.
    async fn edit(
        &mut self,
        payload: Payload,
        contract: &Contract,
    ) -> Result<(Payload, Edited), Failure> {
        let text = match (&payload.0, &contract.input_schema) {
            (Some(json), _) => json::over_lines(json.get()),
            (None, Some(schema)) => json::over_lines(&schema::example(schema).to_string()),
            (None, None) => {
                let message = format!(
                    "nothing to edit: agent '{}' takes no input",
                    self.command.agent
                );
                return Err(Failure::usage(message).hint(self.command.without_input()));
            }
        };
        let edited = editor::edit(&format!("{text}\n")).await?;
        // The time in the editor does not count.
        self.deadline = Deadline::after(self.timeout);
        let payload = parse(&edited.text).map_err(|error| {
            edited.kept_for(Failure::usage(format!(
                "invalid JSON input: {error}; nothing was sent"
            )))
        })?;
        if let Some(json) = &payload.0
            && let Some(error) = is_invalid(contract, json)
        {
            return Err(edited.kept_for(self.invalid(error)));
        }
        Ok((payload, edited))
    }

    /// The failure of an input that the contract does not allow.
    fn invalid(&self, error: Error) -> Failure {
        Failure::from(error).hint(self.command.contract_hint())
    }
}

impl Ready<'_> {
    pub(crate) fn agent(&self) -> &AgentName {
        &self.request.command.agent
    }

    /// The payload of the request.
    pub(crate) fn json(&self) -> Option<&RawValue> {
        self.payload.0.as_deref()
    }

    /// The failure of the request. If another verb fits the agent, the hint is the command to use.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        let mut arguments = self.request.command.input();
        if arguments.len() > MAX_HINT_BYTES || arguments.contains('\n') {
            arguments = ", with the same input".to_owned();
        }
        let failure = Failure::wrong_verb(&error, &arguments).unwrap_or_else(|| error.into());
        let failure = self.request.deadline.with_whole_limit(failure, self.left);
        match &self.edited {
            Some(edited) => edited.kept_for(failure),
            None => failure,
        }
    }

    /// Keeps an edited input whose request the user has interrupted.
    pub(crate) fn interrupted(&self) {
        if let Some(edited) = &self.edited {
            self.request.printer.note(edited.keep());
        }
    }
}

/// The payload of a request that its verb will fail.
fn payload_for_any_verb(given: Given, contract: Option<&Contract>) -> Payload {
    match given {
        Given::Json(payload) => payload,
        Given::Nothing => Payload(None),
        Given::Fields(fields) => {
            let schema = contract.and_then(|contract| contract.input_schema.as_ref());
            Payload(schema.and_then(|schema| input::object(&fields, schema).ok()))
        }
    }
}

/// The problems of an input; `None` if it is valid, and if the schema cannot be used: then the host decides.
fn is_invalid(contract: &Contract, input: &impl serde::Serialize) -> Option<Error> {
    let error = contract.validate(input).err()?;
    error.details().contains_key("errors").then_some(error)
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
    input::without_mark(text).trim()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn byte_order_mark_is_skipped() {
        for text in ["\u{feff}{\"a\": 1.50}\r\n", " {\"a\": 1.50}"] {
            let payload = parse(text).unwrap();
            assert_eq!(payload.0.unwrap().get(), "{\"a\": 1.50}");
        }
        assert!(parse("\u{feff}\r\n").unwrap().0.is_none());
    }
}
