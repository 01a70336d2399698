//! The exit code of a command.

/// An exit code. Unlike that of the standard library, it can be read: a caller in another language returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExitCode(u8);

impl ExitCode {
    /// The command did its work.
    pub(crate) const SUCCESS: Self = Self(0);

    /// The command failed.
    pub(crate) const FAILURE: Self = Self(1);

    /// The code as the operating system gets it.
    pub(crate) fn to_u8(self) -> u8 {
        self.0
    }
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> Self {
        Self(code)
    }
}
