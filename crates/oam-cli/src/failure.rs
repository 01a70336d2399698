//! The error of a command: message, details and hint.

use std::io::{self, ErrorKind};

use openagentmesh::{Error, ErrorCode};
use openagentmesh_local::LocalError;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::exit::ExitCode;
use crate::shell;
use crate::text::truncated;

/// The folder of the pages of the error codes.
const PAGES: &str =
    "https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors";

/// The code in JSON of a problem of this machine, which has no code on the wire.
const LOCAL_CODE: &str = "failed";

/// The code in JSON of an invalid command line.
const USAGE_CODE: &str = "invalid_input";

/// The detail of a failed call within a handler: the error of that call.
const CAUSE: &str = "cause";

/// The location of a problem of the input as a whole.
const WHOLE_INPUT: &str = "input: ";

/// A longer detail is truncated for people.
const MAX_DETAIL_CHARS: usize = 500;

/// The error of a command. `hint` is the remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code on the wire; `None` for a problem of this machine.
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: String,
    /// Boxed, because an error is part of each result.
    pub(crate) details: Box<Map<String, Value>>,
    pub(crate) hint: Option<String>,
    /// The name that was not found.
    pub(crate) missing: Option<String>,
    kind: Kind,
}

/// The kind of a failure, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    /// An invalid command line or input.
    Usage,
    /// The reader of stdout closed the pipe, as in `oam … | head`. Not an error.
    ReaderClosed,
    /// A signal ended the command.
    Interrupted,
}

impl Failure {
    /// An error of the mesh or of an agent.
    pub(crate) fn mesh(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            ..Self::local(message)
        }
    }

    /// The error of a verb that does not fit the agent. The hint is the command that does, with
    /// `arguments` after the name. `None` for every other error.
    pub(crate) fn wrong_verb(error: &Error, arguments: &str) -> Option<Self> {
        if error.code() != &ErrorCode::InvocationMismatch {
            return None;
        }
        let agent = shell::word(error.agent().unwrap_or("NAME"));
        let hint = match error.details().get("use").and_then(Value::as_str) {
            Some(verb @ ("call" | "stream")) => format!("oam agent {verb} {agent}{arguments}"),
            Some("subscribe") => format!("oam agent subscribe {agent}"),
            _ => "oam mesh catalog shows how each agent is used".to_owned(),
        };
        Some(Self::mesh(error.code().clone(), error.message()).hint(hint))
    }

    /// An error of this machine.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self {
            code: None,
            message: message.into(),
            details: Box::default(),
            hint: None,
            missing: None,
            kind: Kind::Error,
        }
    }

    /// An error of a write to stdout. The command must end: its result is incomplete.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::BrokenPipe => Kind::ReaderClosed,
            _ => Kind::Error,
        };
        Self {
            kind,
            ..Self::local(format!("cannot write the result to stdout: {error}"))
        }
    }

    /// A signal that ended the command in a state that the user must know.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Interrupted,
            ..Self::local(message)
        }
    }

    /// Whether the reader of stdout closed the pipe, which is not reported.
    pub(crate) fn is_reader_closed(&self) -> bool {
        self.kind == Kind::ReaderClosed
    }

    /// An invalid command line or input; the exit code is 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::mesh(ErrorCode::InvalidInput, message)
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The page with the causes and remedies of the code; `None` for a code that a handler has chosen.
    pub(crate) fn page(&self) -> Option<String> {
        let code = self.code.as_ref()?;
        let mut known = ErrorCode::KNOWN.iter().chain(ErrorCode::LOCAL);
        known
            .any(|known| known == code)
            .then(|| format!("{PAGES}/{code}.md"))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match (self.kind, &self.code) {
            (Kind::Error, Some(code)) => code.into(),
            (Kind::Error, None) => ExitCode::FAILURE,
            (Kind::Usage, _) => ExitCode::USAGE,
            (Kind::ReaderClosed, _) => ExitCode::SUCCESS,
            (Kind::Interrupted, _) => ExitCode::INTERRUPTED,
        }
    }

    /// The message for people. It does not repeat the problems of the input that [`detail_lines`](Self::detail_lines) lists.
    pub(crate) fn shown_message(&self) -> &str {
        let problems = self.problems();
        match self.start_of_problems() {
            Some(start) if problems.len() > 1 => {
                let before = self.message.get(..start).unwrap_or(&self.message);
                before.trim_end_matches([':', ' '])
            }
            _ => &self.message,
        }
    }

    fn problems(&self) -> &[Value] {
        match self.details.get("errors") {
            Some(Value::Array(problems)) => problems,
            _ => &[],
        }
    }

    /// The place in the message at which the problems of the input begin, if the message has them.
    fn start_of_problems(&self) -> Option<usize> {
        let first = problem(self.problems().first()?);
        let without_location = first.strip_prefix(WHOLE_INPUT).unwrap_or(&first);
        self.message.find(without_location)
    }

    /// The details for people, a line each: the problems of the input, then the others.
    pub(crate) fn detail_lines(&self) -> Vec<String> {
        // The message has a single problem.
        let problems: &[Value] = match self.problems() {
            [_] if self.start_of_problems().is_some() => &[],
            problems => problems,
        };
        let omitted = self.details.get("omitted").filter(|_| !problems.is_empty());
        let omitted = omitted.map(|omitted| format!("and {omitted} more"));
        // The message or the hint has the details of a known code in words.
        let is_known = self.page().is_some();
        let is_shown = |name: &str| match name {
            "errors" => self.problems().is_empty(),
            "omitted" => self.problems().is_empty() && !is_known,
            name => !is_known || name == CAUSE,
        };
        let others = self.details.iter().filter(|(name, _)| is_shown(name));
        problems
            .iter()
            .map(problem)
            .chain(omitted)
            .chain(others.map(|(name, value)| format!("{name}: {}", in_words(value))))
            .map(|line| truncated(line, MAX_DETAIL_CHARS))
            .collect()
    }

    /// The error for programs.
    pub(crate) fn to_json(&self) -> Value {
        #[derive(Serialize)]
        struct Document<'f> {
            code: &'f str,
            message: &'f str,
            details: &'f Map<String, Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<&'f str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            page: Option<String>,
        }

        let code = match (&self.code, self.kind) {
            (Some(code), _) => code.as_str(),
            (None, Kind::Usage) => USAGE_CODE,
            (None, _) => LOCAL_CODE,
        };
        json!({ "error": Document {
            code,
            message: &self.message,
            details: &self.details,
            hint: self.hint.as_deref(),
            page: self.page(),
        }})
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // Without a request id, the input was rejected before anything was sent.
        let kind = match error.code() {
            ErrorCode::InvalidInput if error.request_id().is_none() => Kind::Usage,
            ErrorCode::Configuration => Kind::Usage,
            _ => Kind::Error,
        };
        Self {
            details: Box::new(error.details().clone()),
            hint: next_step(&error),
            missing: is_about_agent(&error).then(|| error.agent().unwrap_or_default().to_owned()),
            kind,
            ..Self::mesh(error.code().clone(), error.message())
        }
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::InvalidPort { .. }
            | LocalError::InvalidCluster { .. }
            | LocalError::InvalidClusterPort { .. }
            | LocalError::InvalidOrigin { .. }
            | LocalError::DataUnusable { .. }
            | LocalError::DataOfOtherNodes { .. } => Self::usage(error.to_string()),
            _ => Self::local(error.to_string()),
        }
    }
}

/// Whether the agent itself was not found. An agent may answer with the same code about anything else.
fn is_about_agent(error: &Error) -> bool {
    let prefix = format!("agent '{}' not found", error.agent().unwrap_or_default());
    error.code() == &ErrorCode::NotFound && error.message().starts_with(&prefix)
}

fn next_step(error: &Error) -> Option<String> {
    let agent = error.agent().unwrap_or("NAME");
    match error.code() {
        ErrorCode::NotFound if is_about_agent(error) => {
            Some("oam mesh catalog lists the agents".to_owned())
        }
        ErrorCode::NotAvailable => Some(format!(
            "start the process that serves {agent}; the catalog still lists it"
        )),
        ErrorCode::InvalidInput if error.request_id().is_some() => Some(format!(
            "oam agent contract {agent} shows the input it takes"
        )),
        ErrorCode::ConnectionDenied
            if error.details().get("credentials") == Some(&json!("missing")) =>
        {
            Some("--creds FILE names a credentials file".to_owned())
        }
        ErrorCode::Timeout if error.details().get("connection") == Some(&json!("lost")) => Some(
            "check the server and the network; the agent may be running the request".to_owned(),
        ),
        ErrorCode::HandlerError => Some(format!(
            "the agent failed; look at the output of the process that serves {agent}"
        )),
        ErrorCode::DigestMismatch => {
            Some("get it again; if that fails too, put it again".to_owned())
        }
        _ => None,
    }
}

/// A problem of the input: where it is, and the violated rule.
fn problem(problem: &Value) -> String {
    let text = |field: &str| problem[field].as_str().unwrap_or_default();
    match (text("location"), text("message")) {
        // The problems of another SDK may have any form.
        (_, "") => in_words(problem),
        ("", message) => format!("{WHOLE_INPUT}{message}"),
        (location, message) => format!("{location}: {message}"),
    }
}

/// A text without quotes; any other value as JSON.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
