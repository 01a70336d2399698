//! The outcome of a request.

use std::fmt;

use crate::error::Error;

/// The outcome of a request, at its host or at its caller; an [`Interceptor`](crate::Interceptor) is given it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler succeeded: its output, or the end marker after its last chunk, was answered.
    Replied,
    /// The request was refused or the handler failed: this error was answered.
    Failed(Error),
    /// The handler was dropped, or never started.
    Cancelled(CancelReason),
}

impl Outcome {
    /// A word for logs and metrics: `replied`, `failed` or `cancelled`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
        }
    }
}

/// The reason why a request was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// The caller dropped the request, lost its connection for good, or its process ended.
    CallerDisconnected,
    /// The deadline that the caller set has passed.
    DeadlineExceeded,
    /// The host shut down and its grace time is over.
    Shutdown,
}

impl CancelReason {
    /// A word for logs and metrics: `caller_disconnected`, `deadline_exceeded` or `shutdown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallerDisconnected => "caller_disconnected",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
