//! The one error type of the SDK.

use std::error::Error as StdError;
use std::fmt;

use openagentmesh_protocol::{AgentName, ErrorCode, ErrorObject, InvalidName, RequestId};
use serde_json::{Map, Value};

/// Any error, boxed: what a handler's own error is turned into.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of what can fail with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong on the mesh, here or at the other end.
///
/// Match on [`code`](Error::code); the message is for people. An error that arrived from an
/// agent and one that was raised here are of the same type and the same codes.
///
/// ```
/// use openagentmesh::{Error, ErrorCode};
///
/// fn is_worth_retrying(error: &Error) -> bool {
///     matches!(error.code(), ErrorCode::Timeout | ErrorCode::Overloaded | ErrorCode::AgentDied)
/// }
/// assert!(is_worth_retrying(&Error::new(ErrorCode::Timeout, "no answer within 30s")));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    code: ErrorCode,
    message: String,
    agent: Option<String>,
    request_id: Option<String>,
    details: Map<String, Value>,
    source: Option<BoxError>,
    /// Whether a program made it with [`Error::new`], for the callers of its agent.
    made_for_callers: bool,
}

impl Error {
    /// An error with `code` and `message`.
    ///
    /// A handler that fails with one made here answers with exactly this code: use it to tell
    /// callers what they can act on. Every other error of a handler is `handler_error`.
    ///
    /// ```
    /// use openagentmesh::Error;
    ///
    /// async fn charge(cents: u64) -> Result<u64, Error> {
    ///     if cents > 10_000 {
    ///         return Err(Error::new("limit_exceeded", "charges stop at 100.00"));
    ///     }
    ///     Ok(cents)
    /// }
    /// ```
    #[must_use]
    pub fn new(code: impl Into<ErrorCode>, message: impl Into<String>) -> Self {
        let mut error = Self::raised(code.into(), message);
        error.0.made_for_callers = true;
        error
    }

    /// An error that the SDK itself raises.
    pub(crate) fn raised(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            agent: None,
            request_id: None,
            details: Map::new(),
            source: None,
            made_for_callers: false,
        }))
    }

    pub(crate) fn is_made_for_callers(&self) -> bool {
        self.0.made_for_callers
    }

    /// Adds one field to the [`details`](Error::details).
    #[must_use]
    pub fn with_detail(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.details.insert(field.into(), value.into());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_agent(mut self, agent: &AgentName) -> Self {
        self.0.agent = Some(agent.to_string());
        self
    }

    pub(crate) fn with_request(mut self, request_id: &RequestId) -> Self {
        self.0.request_id = Some(request_id.to_string());
        self
    }

    /// What went wrong, as one word that programs compare.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.0.code
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The agent concerned, if one is.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.0.agent.as_deref()
    }

    /// The request concerned, if one is.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// More about it, by code. For `invalid_input`, `errors` lists each problem with its
    /// `location` (a JSON pointer into the input), `message` and the `rule` that it breaks.
    #[must_use]
    pub fn details(&self) -> &Map<String, Value> {
        &self.0.details
    }

    /// The error as it crosses the wire.
    pub(crate) fn to_object(&self) -> ErrorObject {
        ErrorObject {
            code: self.0.code.clone(),
            message: self.0.message.clone(),
            agent: self.0.agent.clone().unwrap_or_default(),
            request_id: self.0.request_id.clone().unwrap_or_default(),
            details: self.0.details.clone(),
        }
    }
}

impl From<ErrorObject> for Error {
    fn from(object: ErrorObject) -> Self {
        let given = |text: String| (!text.is_empty()).then_some(text);
        Self(Box::new(Inner {
            code: object.code,
            message: object.message,
            agent: given(object.agent),
            request_id: given(object.request_id),
            details: object.details,
            source: None,
            made_for_callers: false,
        }))
    }
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::raised(ErrorCode::InvalidInput, error.to_string())
            .with_detail("name", error.name())
            .with_source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// Prints what `main` shows when it returns an error: the code, the message and where it arose.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        if let Some(agent) = &self.0.agent {
            write!(f, " (agent {agent}")?;
            if let Some(request_id) = &self.0.request_id {
                write!(f, ", request {request_id}")?;
            }
            f.write_str(")")?;
        }
        if !self.0.details.is_empty() {
            write!(f, " {}", Value::Object(self.0.details.clone()))?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
