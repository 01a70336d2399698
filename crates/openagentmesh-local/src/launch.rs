//! Starting a server in a prepared directory and waiting until it answers.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::LocalError;
use crate::background::Cancellation;
use crate::config::{Config, SystemCredentials, log_path};
use crate::greeting::greets;
use crate::process::{OwnedChild, stderr_path};
use crate::watchdog::Watchdog;

/// How long a server may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How often a starting server is looked at.
const POLL: Duration = Duration::from_millis(2);

/// How much of a log goes into an error message, in bytes.
const LOG_TAIL: u64 = 2048;

/// Whether a server may outlive the process that starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// It ends with that process, from the first moment on.
    Bound,
    /// It may, once it is started.
    Unbound,
}

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: OwnedChild,
    /// Ends a [`Lifetime::Bound`] server if this process dies, where that can be had.
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) endpoints: Endpoints,
    pub(crate) system: SystemCredentials,
}

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) url: String,
    pub(crate) websocket_url: String,
    pub(crate) port: u16,
    pub(crate) websocket_port: u16,
}

/// The file in which a server tells on which ports it listens.
#[derive(Deserialize)]
struct PortsFile {
    #[serde(default)]
    nats: Vec<String>,
    #[serde(default)]
    websocket: Vec<String>,
}

/// Starts the program at `binary` as `config` says and returns once it answers. On failure the
/// process is gone; the directory is left to its owner.
pub(crate) fn launch(
    binary: &Path,
    config: &Config<'_>,
    lifetime: Lifetime,
    cancellation: &Cancellation,
) -> Result<Launched, LocalError> {
    let (_, system) = config.write()?;
    let mut child = OwnedChild::spawn(binary, config.directory)?;
    // An owner that is killed between the two leaves its server to the next start.
    let watchdog = match lifetime {
        Lifetime::Bound => Watchdog::start(child.pid(), config.directory),
        Lifetime::Unbound => None,
    };
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        cancellation.check()?;
        if let Some(status) = child.exit_status()? {
            return Err(explain_exit(status, config));
        }
        if let Some(endpoints) = read_endpoints(config.directory)
            && answers(endpoints.port, config.directory, deadline)
        {
            return Ok(Launched {
                child,
                watchdog,
                endpoints,
                system,
            });
        }
        if Instant::now() >= deadline {
            // Dropping the child ends it, so that its log is complete.
            drop(child);
            let log = log_tail(config.directory);
            return Err(LocalError::NotReady {
                waited: START_PATIENCE,
                log,
            });
        }
        std::thread::sleep(POLL);
    }
}

/// Reads the server's ports file. It appears once the server listens, and may be half written when
/// first seen: whatever cannot be read yet is read again a moment later.
fn read_endpoints(directory: &Path) -> Option<Endpoints> {
    let file = std::fs::read_dir(directory).ok()?.flatten().find(|entry| {
        let name = entry.file_name();
        name.to_str()
            .is_some_and(|n| n.starts_with("nats-server_") && n.ends_with(".ports"))
    })?;
    let ports: PortsFile = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
    let url = ports.nats.into_iter().next()?;
    let websocket_url = ports.websocket.into_iter().next()?;
    Some(Endpoints {
        port: port_of(&url)?,
        websocket_port: port_of(&websocket_url)?,
        url,
        websocket_url,
    })
}

fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

/// Whether the server in `directory` greets on this port of the loopback interface.
fn answers(port: u16, directory: &Path, deadline: Instant) -> bool {
    // A server that is alive greets at once; one that does not is asked again.
    const GREETING_PATIENCE: Duration = Duration::from_secs(1);
    let patience = GREETING_PATIENCE
        .min(deadline.saturating_duration_since(Instant::now()))
        .max(Duration::from_millis(1));
    greets(port, directory, patience)
}

fn explain_exit(status: ExitStatus, config: &Config<'_>) -> LocalError {
    let log = log_tail(config.directory);
    let taken = log.lines().find(|line| {
        line.contains("address already in use")
            || line.contains("Only one usage of each socket address")
    });
    match (taken, config.port, config.websocket_port()) {
        (Some(line), port @ 1.., Ok(websocket_port)) => {
            if line.contains(&format!("127.0.0.1:{websocket_port}:")) {
                LocalError::WebSocketPortTaken {
                    port,
                    websocket_port,
                }
            } else {
                LocalError::PortTaken { port }
            }
        }
        _ => LocalError::Exited {
            status: status.to_string(),
            log,
        },
    }
}

/// The end of what a server wrote, or why that cannot be read.
fn log_tail(directory: &Path) -> String {
    let mut tail = String::new();
    for path in [log_path(directory), stderr_path(directory)] {
        match read_tail(&path) {
            Ok(text) => tail.push_str(&text),
            // A server that stumbles over its configuration has no log yet.
            Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => {}
            Err(failure) => tail.push_str(&format!("({}: {failure})\n", path.display())),
        }
    }
    if tail.is_empty() {
        "(it wrote nothing)".to_owned()
    } else {
        tail.trim_end().to_owned()
    }
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line is likely cut.
    let whole_lines = match text.split_once('\n') {
        Some((_, rest)) if length > LOG_TAIL => rest,
        _ => &text,
    };
    Ok(whole_lines.to_owned())
}
