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
    /// Reads messages from any server of the stream, with a request to this subject.
    Direct(String),
    /// Creates a consumer and receives its messages.
    Consume,
    /// Removes messages.
    Purge,
    /// Writes `bytes` bytes to `subject`. `is_repeatable` says whether the server recognises the same write.
    Write {
        subject: String,
        bytes: usize,
        is_repeatable: bool,
    },
}

/// The timeout of an operation without its content.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of a read whose answer arrives slowly.
const MAX_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The limit of the time that content of other operations takes.
const MAX_QUEUED_TIME: Duration = Duration::from_secs(60);
/// The slowest transfer that a timeout allows for, in bytes per second.
const MIN_BYTES_PER_SECOND: usize = 4 * 1024;

fn sending_time(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes / MIN_BYTES_PER_SECOND).unwrap_or(u64::MAX))
}

impl Access {
    /// The size of the content that this operation sends, in bytes.
    pub(super) fn outgoing_bytes(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => *bytes,
            _ => 0,
        }
    }

    /// The time that the server has for its answer while `queued` bytes of other operations are sent before. Content
    /// takes time on a slow link.
    pub(super) fn timeout(&self, queued: usize) -> Duration {
        OPERATION_TIMEOUT
            .saturating_add(sending_time(self.outgoing_bytes()))
            .saturating_add(sending_time(queued).min(MAX_QUEUED_TIME))
    }

    /// The time that the server has for its answer as long as bytes arrive; `timeout` is that without.
    pub(super) fn max_timeout(&self, timeout: Duration) -> Duration {
        match self {
            Self::Read | Self::Direct(_) => timeout.max(MAX_READ_TIMEOUT),
            _ => timeout,
        }
    }

    /// The time that the content of this operation and of `queued` bytes before it may take on a slow link.
    pub(super) fn sending_time(&self, queued: usize) -> Duration {
        sending_time(self.outgoing_bytes().saturating_add(queued))
    }

    /// Whether the operation may be repeated when its answer is lost.
    pub(super) fn is_idempotent(&self) -> bool {
        match self {
            Self::Write { is_repeatable, .. } => *is_repeatable,
            // A second consumer is noticed by its numbers, and replaced.
            _ => true,
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
        let is_one_of = |requests: &[&str]| {
            requests.iter().any(|request| {
                let rest = subject.strip_prefix("$JS.");
                let rest = rest.and_then(|rest| rest.strip_prefix(request));
                let rest = rest.and_then(|rest| rest.strip_prefix(stream));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        is_one_of(&["API.STREAM.INFO.", "API.STREAM.CREATE."])
            || match self {
                Self::Open | Self::Write { .. } => false,
                Self::Read => is_one_of(&["API.STREAM.MSG.GET."]),
                Self::Direct(own) => subject == own,
                Self::Consume => is_one_of(&[
                    "API.CONSUMER.CREATE.",
                    "API.CONSUMER.DURABLE.CREATE.",
                    "API.CONSUMER.MSG.NEXT.",
                    // The answers to flow control.
                    "FC.",
                ]),
                Self::Purge => is_one_of(&["API.STREAM.PURGE."]),
            }
    }
}
