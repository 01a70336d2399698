//! The exit code of the process.

use openagentmesh::ErrorCode;

/// The exit code of a command. Other than that of the standard library, it can be read: a caller in another language
/// returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExitCode(u8);

impl ExitCode {
    /// The command did its work.
    pub(crate) const SUCCESS: Self = Self(0);

    /// The agent, the mesh or this machine said no.
    pub(crate) const FAILURE: Self = Self(1);

    /// The command line or the input is invalid, and nothing was sent.
    pub(crate) const USAGE: Self = Self(2);

    /// The mesh, or the process that serves the agent, is not reachable.
    pub(crate) const UNREACHABLE: Self = Self(3);

    /// The server denies the connection or the operation.
    pub(crate) const DENIED: Self = Self(4);

    /// The agent, key or file does not exist.
    pub(crate) const NOT_FOUND: Self = Self(5);

    /// The time limit has passed; the code of `timeout` in coreutils.
    pub(crate) const TIMEOUT: Self = Self(124);

    /// A signal has ended the command, so that the result is incomplete.
    pub(crate) const INTERRUPTED: Self = Self(130);

    /// The code as the operating system gets it.
    pub(crate) fn to_u8(self) -> u8 {
        self.0
    }
}

impl From<&ErrorCode> for ExitCode {
    fn from(code: &ErrorCode) -> Self {
        match code {
            ErrorCode::ConnectionFailed | ErrorCode::NotAvailable => Self::UNREACHABLE,
            ErrorCode::ConnectionDenied => Self::DENIED,
            ErrorCode::NotFound => Self::NOT_FOUND,
            ErrorCode::Timeout => Self::TIMEOUT,
            _ => Self::FAILURE,
        }
    }
}
