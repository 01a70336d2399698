//! The error of a command: message, details and hint.

use std::process::ExitCode;

use openagentmesh::{Error, ErrorCode};
use openagentmesh_local::LocalError;
use serde_json::{Value, json};

use crate::shell;

/// The error of a command. `hint` is the remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code on the wire; `None` for a problem of this machine.
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: String,
    pub(crate) details: Vec<String>,
    pub(crate) hint: Option<String>,
    usage: bool,
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
            usage: false,
        }
    }

    /// An invalid command line or input; the exit code is 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            usage: true,
            ..Self::mesh(ErrorCode::InvalidInput, message)
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 2 } else { 1 })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // Without a request id, the input was rejected before anything was sent.
        let usage = match error.code() {
            ErrorCode::InvalidInput => error.request_id().is_none(),
            ErrorCode::Configuration => true,
            _ => false,
        };
        Self {
            details: problems(&error),
            hint: next_step(&error),
            usage,
            ..Self::mesh(error.code().clone(), error.message())
        }
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::InvalidPort { .. } => Self::usage(error.to_string()),
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
