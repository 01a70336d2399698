//! The error of a command: message, details and hint.

use std::io::{self, ErrorKind};

use openagentmesh::{Error, ErrorCode};
use openagentmesh_local::LocalError;
use serde_json::{Value, json};

use crate::exit::ExitCode;
use crate::shell;

/// The folder of the pages of the error codes.
const PAGES: &str =
    "https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors";

/// The error of a command. `hint` is the remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code on the wire; `None` for a problem of this machine.
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: String,
    pub(crate) details: Vec<String>,
    pub(crate) hint: Option<String>,
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
            details: Vec::new(),
            hint: None,
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
        match self.kind {
            Kind::Error => ExitCode::FAILURE,
            Kind::Usage => ExitCode::from(2),
            Kind::ReaderClosed => ExitCode::SUCCESS,
        }
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
            details: problems(&error),
            hint: next_step(&error),
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
            | LocalError::InvalidOrigin { .. } => Self::usage(error.to_string()),
            _ => Self::local(error.to_string()),
        }
    }
}

fn next_step(error: &Error) -> Option<String> {
    let agent = error.agent().unwrap_or("NAME");
    match error.code() {
        ErrorCode::NotFound => Some("oam mesh catalog lists the agents".to_owned()),
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
        ErrorCode::Timeout => Some("--timeout SECONDS waits longer".to_owned()),
        ErrorCode::HandlerError => Some(format!(
            "the agent failed; look at the output of the process that serves {agent}"
        )),
        ErrorCode::DigestMismatch => {
            Some("get it again; if that fails too, put it again".to_owned())
        }
        _ => None,
    }
}

fn problems(error: &Error) -> Vec<String> {
    let Some(Value::Array(problems)) = error.details().get("errors") else {
        return Vec::new();
    };
    problems
        .iter()
        .map(|problem| {
            let text = |field: &str| problem[field].as_str().unwrap_or_default();
            let location = Some(text("location"))
                .filter(|l| !l.is_empty())
                .unwrap_or("input");
            format!("{location}: {}", text("message"))
        })
        .collect()
}
