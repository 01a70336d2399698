//! A home, a working directory and a terminal's worth of commands for one test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use openagentmesh::{Agent, AgentMesh};
use openagentmesh_local::{LocalServer, NatsServerSearch};
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::watch;

/// How long anything may take that is awaited.
const DEADLINE: Duration = Duration::from_secs(20);

/// The `nats-server` of this machine, so that a home of a test's own needs none.
static NATS_SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    // A thread of its own: the test that asks first may run on a runtime already.
    let search = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(NatsServerSearch::new().find_or_install())
            .unwrap()
    });
    search.join().unwrap().path().to_owned()
});

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What a command did whose output may be anything.
pub(crate) struct RanWithBytes {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// A home and a working directory; whatever mesh was started in it is stopped at the end.
pub(crate) struct Sandbox {
    home: TempDir,
    work: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            home: TempDir::new().unwrap(),
            work: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oam"));
        command
            .args(arguments)
            .current_dir(self.work())
            .env("HOME", self.home.path())
            .env("OAM_NATS_SERVER", &*NATS_SERVER)
            .env_remove("OAM_URL")
            .env_remove("OAM_CREDS")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn oam(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn oam_with_stdin(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs a command whose input and output may be anything.
    pub(crate) fn oam_with_bytes(&self, arguments: &[&str], input: &[u8]) -> RanWithBytes {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        RanWithBytes {
            code: output.status.code().expect("it ended by itself"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The URL that `.oam-url` names.
    pub(crate) fn url(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.work().join(".oam-url")).ok()?;
        Some(text.trim().to_owned())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.url().is_some() {
            self.oam(&["mesh", "down"]);
        }
    }
}

/// A mesh whose agents the test itself serves, and a place to type commands for it.
pub(crate) struct Served {
    pub(crate) sandbox: Sandbox,
    pub(crate) mesh: AgentMesh,
    pub(crate) url: String,
    pub(crate) server: LocalServer,
}

impl Served {
    pub(crate) async fn start(agents: impl IntoIterator<Item = Agent>) -> Self {
        let server = LocalServer::start().await.unwrap();
        let mesh = AgentMesh::connect(server.url()).await.unwrap();
        mesh.register(agents.into_iter().collect::<Vec<_>>())
            .await
            .unwrap();
        Self {
            sandbox: Sandbox::new(),
            mesh,
            url: server.url().to_owned(),
            server,
        }
    }

    pub(crate) fn oam(&self, arguments: &[&str]) -> Ran {
        self.oam_with_stdin(arguments, "")
    }

    /// Blocks the test; the agents are served by the runtime's own threads meanwhile.
    pub(crate) fn oam_with_stdin(&self, arguments: &[&str], input: &str) -> Ran {
        self.sandbox.oam_with_stdin(&self.here(arguments), input)
    }

    /// As [`Served::oam_with_stdin`], where input and output may be anything.
    pub(crate) fn oam_with_bytes(&self, arguments: &[&str], input: &[u8]) -> RanWithBytes {
        self.sandbox.oam_with_bytes(&self.here(arguments), input)
    }

    /// Runs a command in a terminal, with a stdin that gives nothing, and returns what is then to be
    /// read there: stdout and stderr.
    pub(crate) fn oam_in_terminal(&self, arguments: &[&str]) -> (i32, String) {
        Terminal::open().run(self.sandbox.command(&self.here(arguments)))
    }

    /// Starts a command that is looked at while it runs.
    pub(crate) fn start_oam(&self, arguments: &[&str]) -> Running {
        Running::start(self.sandbox.command(&self.here(arguments)))
    }

    fn here<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--url", &self.url]].concat()
    }
}

/// A terminal of one command.
struct Terminal {
    screen: File,
    command_side: File,
}

impl Terminal {
    fn open() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = pty::openpt(flags).unwrap();
        pty::grantpt(&screen).unwrap();
        pty::unlockpt(&screen).unwrap();
        let name = pty::ptsname(&screen, Vec::new()).unwrap();
        let command_side = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        Self {
            screen: screen.into(),
            command_side,
        }
    }

    fn run(self, mut command: Command) -> (i32, String) {
        let Self {
            mut screen,
            command_side,
        } = self;
        command
            .env("TERM", "xterm")
            .stderr(command_side.try_clone().unwrap())
            .stdout(command_side);
        let mut child = command.spawn().unwrap();
        // It holds the command's side open.
        drop(command);
        let mut seen = Vec::new();
        // Reading ends with an error once the command has.
        drop(screen.read_to_end(&mut seen));
        let code = child.wait().unwrap().code().expect("it ended by itself");
        (code, String::from_utf8(seen).unwrap().replace("\r\n", "\n"))
    }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self {
            child,
            lines: Some(BufReader::new(stdout).lines()),
        }
    }

    /// The next line of its stdout; `None` at the end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        in_time("a line", self.lines.as_mut().unwrap().next_line())
            .await
            .unwrap()
    }

    /// Cancel-safe: what was not returned comes next.
    pub(crate) async fn line_within(&mut self, time: Duration) -> Option<String> {
        let line = tokio::time::timeout(time, self.lines.as_mut().unwrap().next_line());
        line.await.ok()?.unwrap()
    }

    /// Waits until it prints anything, and reads no more of it than that.
    pub(crate) async fn first_byte(&mut self) {
        let stdout = self.lines.as_mut().unwrap().get_mut();
        in_time("a byte", stdout.get_mut().read_u8()).await.unwrap();
    }

    /// Closes the pipe that it prints into.
    pub(crate) fn stop_reading(&mut self) {
        self.lines = None;
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended, and what it had to say on stderr.
    pub(crate) async fn end(&mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        let status = in_time("the end of the command", async {
            pipe.read_to_string(&mut stderr).await.unwrap();
            self.child.wait().await.unwrap()
        });
        (status.await, stderr)
    }
}

pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not come within {DEADLINE:?}"),
    }
}

/// Counts the guards that live: a handler that holds one tells when it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<watch::Sender<usize>>);

/// One that lives.
pub(crate) struct Guard(Alive);

impl Alive {
    pub(crate) fn guard(&self) -> Guard {
        self.0.send_modify(|alive| *alive += 1);
        Guard(self.clone())
    }

    pub(crate) async fn is(&self, expected: usize) {
        let mut alive = self.0.subscribe();
        let reached = alive.wait_for(|alive| *alive == expected);
        in_time("the start or the end of a handler", reached)
            .await
            .unwrap();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.send_modify(|alive| *alive -= 1);
    }
}
