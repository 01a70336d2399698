//! The progress of transfers.

/// The progress of an upload or download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes transferred so far.
    pub bytes: u64,
    /// Bytes to transfer in total, if known.
    pub total: Option<u64>,
}

/// A callback for the progress of a transfer.
pub(super) type OnProgress<'p> = Box<dyn FnMut(Progress) + Send + 'p>;
