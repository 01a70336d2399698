//! An example as a user runs it: a process with its output.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Fails the test when `what` takes longer than anything here should.
pub(crate) async fn within<T>(what: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what.into_future())
        .await
        .expect("it took longer than 20 s")
}

/// A running example. Dropping it kills it.
pub(crate) struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A command that an example tells its user to type.
pub(crate) struct Typed {
    pub(crate) verb: String,
    pub(crate) agent: String,
    pub(crate) input: Value,
}

impl Example {
    pub(crate) fn start(name: &str, url: &str) -> Self {
        Self::start_with(name, url, &[])
    }

    /// Starts it with further variables in its environment.
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

    /// The next line that it prints. Cancel-safe.
    pub(crate) async fn line(&mut self) -> String {
        let line = within(self.lines.next_line()).await.unwrap();
        line.expect("the example has ended")
    }

    /// Waits until it serves, and gives the commands that it tells its user to type.
    pub(crate) async fn serves<const N: usize>(&mut self) -> [Typed; N] {
        let first = self.line().await;
        assert!(first.starts_with("serving "), "{first}");
        let mut typed = Vec::new();
        for _ in 0..N {
            typed.push(Typed::parse(&self.line().await));
        }
        typed.try_into().ok().unwrap()
    }

    /// Waits for its end, and gives what it still printed.
    pub(crate) async fn ends(mut self) -> Vec<String> {
        let mut printed = Vec::new();
        while let Some(line) = within(self.lines.next_line()).await.unwrap() {
            printed.push(line);
        }
        let status = within(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}; it printed {printed:?}");
        printed
    }

    /// Ends it as a service manager does.
    pub(crate) async fn terminate(self) {
        let pid = self.pid().to_string();
        within(heeds_sigterm(&pid)).await;
        let kill = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(within(kill).await.unwrap().success());
        self.ends().await;
    }
}

impl Typed {
    fn parse(line: &str) -> Self {
        let mut words = line
            .strip_prefix("  oam agent ")
            .unwrap_or_else(|| panic!("'{line}' is no command"))
            .splitn(3, ' ');
        let mut word = || words.next().map(|word| word.trim_matches('\''));
        Self {
            verb: word().unwrap().to_owned(),
            agent: word().unwrap().to_owned(),
            input: word().map_or(Value::Null, |json| serde_json::from_str(json).unwrap()),
        }
    }
}

/// Examples lie beside the directory of the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// An example serves a moment before it heeds signals, and a signal then would just end it.
async fn heeds_sigterm(pid: &str) {
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
