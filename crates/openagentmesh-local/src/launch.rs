//! Start of a server in a prepared directory.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::LocalError;
use crate::background::Cancellation;
use crate::config::{CONFIG_FILE, Config, SystemCredentials, log_path};
use crate::data::DataDirectory;
use crate::greeting::greets;
use crate::process::{Lifetime, OwnedChild, stderr_path};
use crate::watchdog::Watchdog;

/// Maximum time from the start of a server to its greeting.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time from the start of a server with kept data to its greeting: the server reads the data first.
const START_WITH_DATA_TIMEOUT: Duration = Duration::from_secs(120);

/// Interval between checks of a starting server.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Maximum length of a log in an error message, in bytes.
const MAX_LOG_BYTES: u64 = 2048;

/// A server that is ready.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: OwnedChild,
    /// Ends a [`Lifetime::Bound`] server if this process dies; `None` where unsupported.
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) endpoints: Endpoints,
    pub(crate) server_name: String,
    pub(crate) system: SystemCredentials,
    /// The length of the log before the start, in bytes.
    pub(crate) log_start: u64,
}

/// The addresses of a server.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) url: String,
    pub(crate) port: u16,
    /// `None` without a WebSocket port.
    pub(crate) websocket_url: Option<String>,
}

/// The ports file, in which a server writes its addresses.
#[derive(Deserialize)]
struct PortsFile {
    #[serde(default)]
    nats: Vec<String>,
    #[serde(default)]
    websocket: Vec<String>,
}

/// Starts the program at `binary` with `config` and returns once the server is ready. After an error
/// the process is gone. The directory remains with its owner.
pub(crate) fn launch(
    binary: &Path,
    config: &Config<'_>,
    lifetime: Lifetime,
    cancellation: &Cancellation,
) -> Result<Launched, LocalError> {
    let (_, system) = config.write()?;
    let lock = config.data.map(DataDirectory::lock_file).transpose()?;
    // Without a log, this is the first start.
    let log_start = std::fs::metadata(log_path(config.directory)).map_or(0, |log| log.len());
    let mut child = OwnedChild::spawn(binary, config.directory, lock, lifetime)?;
    // If this process is killed between spawn and watchdog, the next start ends the server.
    let watchdog = match lifetime {
        Lifetime::Bound => child
            .process()
            .and_then(|process| Watchdog::start(process, config.directory)),
        Lifetime::Unbound => None,
    };
    let timeout = match config.data {
        Some(_) => START_WITH_DATA_TIMEOUT,
        None => START_TIMEOUT,
    };
    let name = config.server_name();
    let deadline = Instant::now() + timeout;
    loop {
        cancellation.check()?;
        if let Some(status) = child.exit_status()? {
            return Err(explain_exit(status, config));
        }
        if let Some(endpoints) = read_endpoints(config)
            && answers(endpoints.port, &name, deadline)
        {
            return Ok(Launched {
                child,
                watchdog,
                endpoints,
                server_name: name,
                system,
                log_start,
            });
        }
        if Instant::now() >= deadline {
            // Dropping the child kills it, so that the log is complete.
            drop(child);
            let log = log_tail(config.directory);
            return Err(LocalError::NotReady {
                waited: timeout,
                log,
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Starts a server again in the directory of its last start, with the data of that start. As [`launch`] otherwise.
pub(crate) fn relaunch(
    binary: &Path,
    config: &Config<'_>,
    cancellation: &Cancellation,
) -> Result<Launched, LocalError> {
    let stale = [
        config.directory.join(CONFIG_FILE),
        stderr_path(config.directory),
    ];
    let ports = ports_file(config.directory);
    for path in stale.into_iter().chain(ports) {
        match std::fs::remove_file(&path) {
            Err(failure) if failure.kind() != std::io::ErrorKind::NotFound => {
                return Err(LocalError::io("remove", &path)(failure));
            }
            _ => {}
        }
    }
    launch(binary, config, Lifetime::Bound, cancellation)
}

/// The path of the ports file; `None` before the server listens.
fn ports_file(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    let file = entries.flatten().find(|entry| {
        let name = entry.file_name();
        name.to_str()
            .is_some_and(|n| n.starts_with("nats-server_") && n.ends_with(".ports"))
    })?;
    Some(file.path())
}

/// Reads the server's ports file. The file appears once the server listens, and may be incomplete.
/// `None` if it cannot be read yet.
fn read_endpoints(config: &Config<'_>) -> Option<Endpoints> {
    let file = ports_file(config.directory)?;
    let ports: PortsFile = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let url = ports.nats.into_iter().next()?;
    let websocket_url = ports.websocket.into_iter().next();
    if websocket_url.is_none() && !config.websocket_origins.is_empty() {
        return None;
    }
    Some(Endpoints {
        port: port_of(&url)?,
        url,
        websocket_url,
    })
}

/// The port of a URL that the server has written.
pub(crate) fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

/// Whether the server called `name` sends its greeting on `port` of the loopback interface.
fn answers(port: u16, name: &str, deadline: Instant) -> bool {
    // A running server sends its greeting at once. The caller retries until the deadline.
    const GREETING_TIMEOUT: Duration = Duration::from_secs(1);
    let timeout = GREETING_TIMEOUT
        .min(deadline.saturating_duration_since(Instant::now()))
        .max(Duration::from_millis(1));
    greets(port, name, timeout)
}

fn explain_exit(status: ExitStatus, config: &Config<'_>) -> LocalError {
    let log = log_tail(config.directory);
    let taken = log.lines().find(|line| {
        line.contains("address already in use")
            || line.contains("Only one usage of each socket address")
    });
    match (taken, config.port, config.websocket_port()) {
        (Some(line), port @ 1.., Ok(websocket_port)) => match websocket_port {
            Some(websocket_port) if line.contains(&format!("127.0.0.1:{websocket_port}:")) => {
                LocalError::WebSocketPortTaken {
                    port,
                    websocket_port,
                }
            }
            _ => LocalError::PortTaken { port },
        },
        _ => LocalError::Exited {
            status: status.to_string(),
            log,
        },
    }
}

/// The end of a server's log and standard error, or why they cannot be read.
pub(crate) fn log_tail(directory: &Path) -> String {
    let mut tail = String::new();
    for path in [log_path(directory), stderr_path(directory)] {
        match read_tail(&path) {
            Ok(text) => tail.push_str(&text),
            // A server that rejects its configuration exits before it opens its log.
            Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => {}
            Err(failure) => tail.push_str(&format!("({}: {failure})\n", path.display())),
        }
    }
    if tail.is_empty() {
        "(empty)".to_owned()
    } else {
        tail.trim_end().to_owned()
    }
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line is probably truncated.
    let whole_lines = match text.split_once('\n') {
        Some((_, rest)) if length > MAX_LOG_BYTES => rest,
        _ => &text,
    };
    Ok(whole_lines.to_owned())
}
