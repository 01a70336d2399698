//! An example as a process.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use openagentmesh::AgentMesh;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::deadline::within_deadline;

/// A running example. Dropping it kills it.
pub(crate) struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A command `oam agent …` that an example prints.
pub(crate) struct PrintedCommand {
    pub(crate) verb: String,
    pub(crate) agent: String,
    pub(crate) input: Value,
}

impl Example {
    pub(crate) fn start(name: &str, url: &str) -> Self {
        Self::start_with(name, url, &[])
    }

    /// Starts an example with further environment variables.
    pub(crate) fn start_with(name: &str, url: &str, variables: &[(&str, &str)]) -> Self {
        let program = program(name);
        let mut child = Command::new(&program)
            .envs(variables.iter().copied())
            .env("OAM_URL", url)
            .env_remove("OAM_CREDS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} does not start ({error}); `cargo test -p openagentmesh-examples` builds it",
                    program.display()
                )
            });
        let stdout = child.stdout.take().unwrap();
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the example has ended")
    }

    /// The next line of stdout. Cancel-safe.
    pub(crate) async fn line(&mut self) -> String {
        let line = within_deadline(self.lines.next_line()).await.unwrap();
        line.expect("the example has ended")
    }

    /// Waits until the agents of the example are on `mesh`, and returns the commands that it prints.
    pub(crate) async fn until_serving<const N: usize>(
        &mut self,
        mesh: &AgentMesh,
    ) -> [PrintedCommand; N] {
        let first = self.line().await;
        assert!(first.starts_with("serving "), "{first}");
        let mut commands = Vec::new();
        for _ in 0..N {
            commands.push(PrintedCommand::parse(&self.line().await));
        }
        // The agents of one process are listed at once.
        let listed = within_deadline(mesh.catalog().watch().next()).await;
        assert!(listed.is_some());
        commands.try_into().ok().unwrap()
    }

    /// Waits for a successful end, and returns the remaining lines of stdout.
    pub(crate) async fn output(mut self) -> Vec<String> {
        let mut printed = Vec::new();
        while let Some(line) = within_deadline(self.lines.next_line()).await.unwrap() {
            printed.push(line);
        }
        let status = within_deadline(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}; printed {printed:?}");
        printed
    }

    /// Ends the example with SIGTERM, as a service manager does.
    pub(crate) async fn terminate(self) {
        let pid = self.pid().to_string();
        within_deadline(until_sigterm_is_handled(&pid)).await;
        let kill = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(within_deadline(kill).await.unwrap().success());
        self.output().await;
    }
}

impl PrintedCommand {
    fn parse(line: &str) -> Self {
        let mut words = line
            .strip_prefix("  oam agent ")
            .unwrap_or_else(|| panic!("not a command: '{line}'"))
            .splitn(3, ' ');
        let mut word = || words.next().map(|word| word.trim_matches('\''));
        Self {
            verb: word().unwrap().to_owned(),
            agent: word().unwrap().to_owned(),
            input: word().map_or(Value::Null, |json| serde_json::from_str(json).unwrap()),
        }
    }
}

/// Cargo puts examples next to the directory of the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Waits until the example handles SIGTERM: it prints that it serves before it does, and the signal
/// would end it at once.
async fn until_sigterm_is_handled(pid: &str) {
    const SIGTERM: u64 = 1 << 14;
    let Ok(path) = PathBuf::from(format!("/proc/{pid}/status")).canonicalize() else {
        return;
    };
    loop {
        let status = std::fs::read_to_string(&path).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        if u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & SIGTERM != 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
