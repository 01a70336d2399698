//! A Python process that runs the commands of a test.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::Sdk;
use crate::environment::{self, SetupError};

/// Limit of one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// A Python process with one connection to a mesh, through a published SDK.
///
/// `python/peer.py` is the program. The process ends when its input ends; dropping the peer kills it.
pub struct Peer {
    sdk: Sdk,
    child: Child,
    commands: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    printed: Arc<Mutex<String>>,
    printing: JoinHandle<()>,
}

/// The exception of a command.
#[derive(Debug, Clone, Deserialize)]
pub struct Raised {
    /// The exception's class.
    pub class: String,
    /// The exception's message.
    pub message: String,
    /// A mesh error's code.
    pub code: Option<String>,
    /// A mesh error's agent.
    pub agent: Option<String>,
    /// A mesh error's request.
    pub request_id: Option<String>,
    /// A mesh error's details.
    #[serde(default)]
    pub details: Value,
}

/// The error of a command.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The setup of the environment failed.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The command raised an exception.
    #[error("the Python peer with {sdk} raised {} in '{command}': {}", raised.class, raised.message)]
    Raised {
        /// The SDK of the peer.
        sdk: Sdk,
        /// The command.
        command: String,
        /// The exception.
        raised: Raised,
    },
    /// The process ended.
    #[error("the Python peer with {sdk} ended in '{command}' ({status}); its output:\n{printed}")]
    Ended {
        /// The SDK of the peer.
        sdk: Sdk,
        /// The command.
        command: String,
        /// The exit status.
        status: String,
        /// The error output of the process.
        printed: String,
    },
    /// The command did not complete in time.
    #[error(
        "the Python peer with {sdk} did not complete '{command}' in time; its output:\n{printed}"
    )]
    Stuck {
        /// The SDK of the peer.
        sdk: Sdk,
        /// The command.
        command: String,
        /// The error output of the process.
        printed: String,
    },
    /// The answer is invalid.
    #[error("invalid answer of the Python peer with {sdk} to '{command}': {answer}")]
    Unreadable {
        /// The SDK of the peer.
        sdk: Sdk,
        /// The command.
        command: String,
        /// The answer.
        answer: String,
    },
    /// Starting the process or using its pipes failed.
    #[error("cannot reach the Python peer with {sdk}: {error}")]
    Io {
        /// The SDK of the peer.
        sdk: Sdk,
        /// The cause.
        error: std::io::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(Value),
    Raised(Raised),
}

impl Peer {
    /// Starts a peer. The environment of its SDK is in `directory`, and created if missing.
    ///
    /// # Errors
    ///
    /// [`PeerError::Setup`] if the environment cannot be prepared, and the errors of [`Peer::ask`].
    pub async fn start(sdk: Sdk, directory: &Path) -> Result<Self, PeerError> {
        let directory = directory.to_owned();
        let prepared = tokio::task::spawn_blocking(move || {
            let search_path = std::env::var_os("PATH").unwrap_or_default();
            environment::prepare(sdk, &directory, &search_path)
        });
        let interpreter = prepared.await.map_err(|error| PeerError::Io {
            sdk,
            error: error.into(),
        })??;

        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peer.py");
        let failed = |error| PeerError::Io { sdk, error };
        let mut child = Command::new(interpreter)
            .arg(program)
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONPATH")
            // Python writes no files next to the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let missing = || failed(std::io::Error::other("a pipe is missing"));
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let printed = Arc::new(Mutex::new(String::new()));
        let mut peer = Self {
            sdk,
            commands: child.stdin.take(),
            answers: BufReader::new(stdout).lines(),
            printing: tokio::spawn(collect(stderr, Arc::clone(&printed))),
            printed,
            child,
        };
        let version = peer.ask("version", json!({})).await?;
        if version != sdk.version() {
            return Err(PeerError::Unreadable {
                sdk,
                command: "version".to_owned(),
                answer: version.to_string(),
            });
        }
        Ok(peer)
    }

    /// The SDK that the peer uses.
    #[must_use]
    pub fn sdk(&self) -> Sdk {
        self.sdk
    }

    /// Runs `command`, a method of `Peer` in `python/peer.py`, with the fields of `arguments`, and
    /// returns its result.
    ///
    /// # Errors
    ///
    /// [`PeerError`], usually [`PeerError::Raised`]. Not cancel-safe: the answer to a dropped command
    /// would be read as the answer to the next one.
    pub async fn ask(&mut self, command: &str, arguments: Value) -> Result<Value, PeerError> {
        match tokio::time::timeout(COMMAND_TIMEOUT, self.exchange(command, arguments)).await {
            Ok(result) => result,
            Err(_) => Err(PeerError::Stuck {
                sdk: self.sdk,
                command: command.to_owned(),
                printed: self.printed(),
            }),
        }
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> Result<Value, PeerError> {
        let sdk = self.sdk;
        let mut line = Map::new();
        line.insert("do".to_owned(), json!(command));
        line.insert("with".to_owned(), arguments);
        let line = format!("{}\n", Value::Object(line));
        // A closed pipe means that the process ended, which reading its output reports.
        if let Some(commands) = &mut self.commands
            && commands.write_all(line.as_bytes()).await.is_ok()
        {
            let _ = commands.flush().await;
        }
        let answer = self.answers.next_line().await;
        let Some(answer) = answer.map_err(|error| PeerError::Io { sdk, error })? else {
            return Err(self.ended(command).await);
        };
        match serde_json::from_str(&answer) {
            Ok(Answer::Ok(value)) => Ok(value),
            Ok(Answer::Raised(raised)) => Err(PeerError::Raised {
                sdk,
                command: command.to_owned(),
                raised,
            }),
            Err(_) => Err(PeerError::Unreadable {
                sdk,
                command: command.to_owned(),
                answer,
            }),
        }
    }

    /// Ends the peer: the process leaves the mesh and exits.
    ///
    /// # Errors
    ///
    /// [`PeerError::Ended`] if the exit status is a failure.
    pub async fn end(mut self) -> Result<(), PeerError> {
        self.commands = None;
        let sdk = self.sdk;
        let Ok(status) = tokio::time::timeout(COMMAND_TIMEOUT, self.child.wait()).await else {
            return Err(PeerError::Stuck {
                sdk,
                command: "end".to_owned(),
                printed: self.printed(),
            });
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(self.ended("end").await),
            Err(error) => Err(PeerError::Io { sdk, error }),
        }
    }

    /// Kills the process. Its agents stay listed.
    ///
    /// # Errors
    ///
    /// [`PeerError::Io`] if the process cannot be killed.
    pub async fn kill(mut self) -> Result<(), PeerError> {
        let sdk = self.sdk;
        let killed = self.child.kill().await;
        killed.map_err(|error| PeerError::Io { sdk, error })
    }

    async fn ended(&mut self, command: &str) -> PeerError {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        // The process has ended, so its output ends too.
        let _ = (&mut self.printing).await;
        PeerError::Ended {
            sdk: self.sdk,
            command: command.to_owned(),
            status,
            printed: self.printed(),
        }
    }

    fn printed(&self) -> String {
        self.printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Collects the error output until the process closes it.
async fn collect(stderr: ChildStderr, printed: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.push_str(&line);
        printed.push('\n');
    }
}
