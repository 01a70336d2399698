//! The subjects to which an operation on a bucket publishes, for a match with the server's denials.

use std::time::Duration;

use crate::transport::Denial;

/// The kind of an operation on a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Opens the bucket, or creates it.
    Open,
    /// Reads a message.
    Read,
    /// Creates or reads a consumer.
    Consume,
    /// Removes messages.
    Purge,
    /// Writes `bytes` bytes to `subject`.
    Write { subject: String, bytes: usize },
}

/// The timeout of an operation without its content.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of a read whose answer arrives slowly.
const MAX_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The slowest transfer that a timeout allows for, in bytes per second.
const MIN_BYTES_PER_SECOND: usize = 4 * 1024;

impl Access {
    /// The time that the server has for its answer. The content of a write takes time on a slow link.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Write { bytes, .. } => {
                let seconds = u64::try_from(bytes / MIN_BYTES_PER_SECOND).unwrap_or(u64::MAX);
                OPERATION_TIMEOUT.saturating_add(Duration::from_secs(seconds))
            }
            _ => OPERATION_TIMEOUT,
        }
    }

    /// The time that the server has for its answer as long as bytes arrive.
    pub(super) fn max_timeout(&self) -> Duration {
        match self {
            Self::Read => MAX_READ_TIMEOUT,
            _ => self.timeout(),
        }
    }

    /// Whether `denial` prevents this operation on the bucket in stream `stream`, which every operation may have to
    /// open first.
    pub(super) fn is_prevented_by(&self, denial: &Denial, stream: &str) -> bool {
        if denial.is_inbox() {
            return true;
        }
        let Some(subject) = denial.published_subject() else {
            return false;
        };
        if let Self::Write { subject: own, .. } = self
            && subject == own
        {
            return true;
        }
        let Some(request) = subject.strip_prefix("$JS.API.") else {
            return false;
        };
        let is_one_of = |requests: &[&str]| {
            requests.iter().any(|prefix| {
                let rest = request.strip_prefix(prefix);
                let rest = rest.and_then(|rest| rest.strip_prefix(stream));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        is_one_of(&["STREAM.INFO.", "STREAM.CREATE."])
            || match self {
                Self::Open | Self::Write { .. } => false,
                Self::Read => is_one_of(&["STREAM.MSG.GET.", "DIRECT.GET."]),
                Self::Consume => is_one_of(&[
                    "CONSUMER.CREATE.",
                    "CONSUMER.DURABLE.CREATE.",
                    "CONSUMER.MSG.NEXT.",
                ]),
                Self::Purge => is_one_of(&["STREAM.PURGE."]),
            }
    }
}
