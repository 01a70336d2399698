//! The shell in which a line runs.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{SHORT_TEMPORARY_DIRECTORY, Sandbox, nats_server};

/// `oam` and `nats-server` in a directory whose path has the same length on every machine: texts are wrapped around the
/// paths in them.
pub(super) struct Programs {
    directory: TempDir,
}

impl Programs {
    pub(super) fn new() -> Self {
        let directory = TempDir::new_in(SHORT_TEMPORARY_DIRECTORY).unwrap();
        for (program, name) in [
            (Path::new(env!("CARGO_BIN_EXE_oam")), "oam"),
            (nats_server(), "nats-server"),
        ] {
            let link = directory.path().join(name);
            // No link across file systems. This process must not hold the copy open for writing: a child that
            // another thread starts meanwhile would keep it open, and the system refuses to run such a file.
            if std::fs::hard_link(program, &link).is_err() {
                let copied = Command::new("cp").arg(program).arg(&link).status();
                assert!(copied.unwrap().success());
            }
        }
        Self { directory }
    }
}

/// Where a line runs.
#[derive(Clone, Copy)]
pub(super) struct Shell<'s> {
    pub(super) programs: &'s Programs,
    pub(super) sandbox: &'s Sandbox,
    /// The mesh that is selected.
    pub(super) url: Option<&'s str>,
    /// The value of `$SHOP`.
    pub(super) shop_url: &'s str,
}

impl Shell<'_> {
    /// A command that runs `line`.
    pub(super) fn command(self, line: &str) -> Command {
        let directory = self.programs.directory.path();
        let mut command = self.sandbox.program("sh");
        let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
        command
            .args(["-c", line])
            .env("SHOP", self.shop_url)
            .env("PATH", path)
            .env("OAM_NATS_SERVER", directory.join("nats-server"));
        for variable in ["CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR", "COLUMNS"] {
            command.env_remove(variable);
        }
        if let Some(url) = self.url {
            command.env("OAM_URL", url);
        }
        command
    }
}
