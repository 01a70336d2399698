//! The roles of a process.

/// The first line of a role's output, when it is ready.
pub(super) const READY: &str = "ready";

/// This variable makes a process use a single thread, so that its work per message does not depend on
/// which of several threads is awake.
pub(crate) const ONE_THREAD: &str = "BENCH_ONE_THREAD";

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Serves the agents.
    Host,
    /// Calls the agents and measures.
    Caller,
    /// Registers agents, transfers files and measures.
    Worker,
    /// A worker with the bare client.
    RawWorker,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Caller => "caller",
            Self::Worker => "worker",
            Self::RawWorker => "raw-worker",
        }
    }
}
