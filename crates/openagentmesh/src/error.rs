//! The error type of the SDK.

use std::error::Error as StdError;
use std::fmt;

use openagentmesh_protocol::{AgentName, ErrorCode, ErrorObject, InvalidName, RequestId, Visible};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A boxed error, the form to which the errors of handlers are converted.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A result whose error is [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure on the mesh, raised in this process or answered by an agent.
///
/// Programs match on the [`code`](Error::code); the message is for people. An error that an agent answered
/// and one that was raised locally have the same type. Some codes are only raised locally and never cross
/// the wire; [`ErrorCode`] marks them.
///
/// ```
/// use openagentmesh::{Error, ErrorCode};
///
/// let error = Error::new("out_of_stock", "item 7 is out of stock");
/// assert!(error.is("out_of_stock"));
/// assert_eq!(*error.code(), "out_of_stock");
/// assert!(!error.is_retryable());
/// assert!(Error::new(ErrorCode::Timeout, "no reply within 30s").is_retryable());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    code: ErrorCode,
    message: String,
    agent: Option<String>,
    request_id: Option<String>,
    details: Map<String, Value>,
    source: Option<BoxError>,
    /// Whether [`Error::new`] made the error, so that a handler answers its code.
    made_for_callers: bool,
}

impl Error {
    /// An error with `code` and `message`.
    ///
    /// A handler that fails with such an error answers with this code, so that callers can act on it. Every
    /// other error of a handler is answered as `handler_error`, except one of a function with
    /// [`#[agent]`](macro@crate::agent) that converts into an `Error`: [`AgentError`](crate::AgentError)
    /// derives codes for an error enum.
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

    /// An error that the SDK raises.
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

    /// The code, one word for programs. It compares with `&str`.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.0.code
    }

    /// Whether the code is `code`.
    ///
    /// ```
    /// # fn example(error: openagentmesh::Error) {
    /// if error.is("out_of_stock") {
    ///     println!("{error}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.0.code == *code
    }

    /// Whether the same request may succeed when it is sent again unchanged; see
    /// [`ErrorCode::is_retryable`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.code.is_retryable()
    }

    /// The message, for people.
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

    /// Details that depend on the code. For `invalid_input`, `errors` lists each problem with its
    /// `location` (a JSON pointer into the input), its `message` and the `rule` that the input violates.
    #[must_use]
    pub fn details(&self) -> &Map<String, Value> {
        &self.0.details
    }

    /// The error object that crosses the wire.
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

/// Shows the message on one line: characters that control a terminal, change the direction of text, or have no width are
/// escaped, because the message may come from another process. [`message`](Error::message) is unchanged.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Visible(&self.0.message).fmt(f)
    }
}

/// Shows the code, the message, the agent, the request and the details: `main` prints this form. Characters are escaped
/// as in [`Display`](fmt::Display).
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", Visible(&self.0.code))?;
        if let Some(agent) = &self.0.agent {
            write!(f, " (agent {}", Visible(agent))?;
            if let Some(request_id) = &self.0.request_id {
                write!(f, ", request {}", Visible(request_id))?;
            }
            f.write_str(")")?;
        }
        if !self.0.details.is_empty() {
            write!(f, " {}", Visible(Value::Object(self.0.details.clone())))?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The answer to a request whose handler failed with `error`, which has no code.
#[doc(hidden)]
pub fn handler_error(error: &(dyn StdError + 'static)) -> Error {
    let answer = Error::new(ErrorCode::HandlerError, with_causes(error));
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    match causes.find_map(<dyn StdError>::downcast_ref) {
        Some(cause) => answer.with_detail("cause", json!(Error::to_object(cause))),
        None => answer,
    }
}

/// A field of an error enum as a detail.
#[doc(hidden)]
pub fn detail(field: &impl Serialize) -> Value {
    serde_json::to_value(field).unwrap_or_else(|error| Value::String(error.to_string()))
}

/// The message of an error, followed by the message of each cause that it does not contain.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}
