//! The result of a command that has ended.

use std::process::Output;

/// Exit code and output of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    /// Asserts the exit code, an empty stdout, and that stderr contains each fragment.
    pub(crate) fn assert_failure(&self, command: &[&str], code: i32, fragments: &[&str]) {
        assert_eq!(self.code, code, "{command:?}: {self:?}");
        assert_eq!(self.stdout, "", "{command:?}");
        for fragment in fragments {
            assert!(
                self.stderr.contains(fragment),
                "{fragment:?} missing: {command:?}: {self:?}"
            );
        }
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let ByteOutput {
            code,
            stdout,
            stderr,
        } = output.into();
        Self {
            code,
            stdout: String::from_utf8(stdout).unwrap(),
            stderr,
        }
    }
}

/// Exit code and output of a command whose stdout may be binary.
pub(crate) struct ByteOutput {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for ByteOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by a signal"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
