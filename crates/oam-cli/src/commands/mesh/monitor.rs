//! `oam mesh monitor`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream;
use openagentmesh::{AgentMesh, AgentName, CancellationToken, MonitorEvent};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cli::MeshMonitor;
use crate::connection::connect_to_stay;
use crate::failure::Failure;
use crate::line::Line;
use crate::live;
use crate::printer::{FAINT, Printer, STRONG};
use crate::text::{on_one_line, timestamp};

/// The number of events that wait for a slow reader. Further ones are not printed.
const MAX_QUEUED: usize = 4096;

/// Interval between checks whether the server's directory is still there.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run(arguments: MeshMonitor, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect_to_stay(arguments.target).await?;
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    let skipped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&skipped);
    let mut monitor = mesh.monitor().on_event(move |event| {
        if sender.try_send(event).is_err() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    if arguments.sys_url.is_some() || arguments.sys_creds.is_some() {
        let url = arguments.sys_url.unwrap_or_else(|| mesh.url().to_owned());
        let mut system = AgentMesh::builder().url(url);
        if let Some(creds) = arguments.sys_creds {
            system = system.credentials(creds);
        }
        monitor = monitor.system_account(system);
    }
    printer.hint_for_people("monitoring the mesh; Ctrl-C ends it");
    let show = if printer.is_json() {
        as_json
    } else {
        for_people
    };
    let lines = stream::unfold(receiver, move |mut events| async move {
        let event = events.recv().await?;
        Some((show(&event, printer), events))
    });
    let stop = CancellationToken::new();
    let mut running = monitor.run_until(stop.clone());
    let end = async {
        tokio::select! {
            signal = live::shutdown_signal() => signal,
            () = gone(arguments.while_exists) => Ok(()),
        }
    };
    let printed = tokio::select! {
        // A failure to start, or a closed connection.
        ended = &mut running => return Ok(ended?),
        printed = live::print(printer, lines, None, end) => printed,
    };
    stop.cancel();
    running.await?;
    let skipped = skipped.load(Ordering::Relaxed);
    if skipped > 0 {
        printer.note(format!(
            "{skipped} events were not printed: the reader of stdout is too slow"
        ));
    }
    live::leave(mesh).await?;
    printed.map(|_| ())
}

/// Resolves when the directory is gone. Never resolves without one.
async fn gone(directory: Option<PathBuf>) {
    let Some(directory) = directory else {
        return std::future::pending().await;
    };
    while directory.exists() {
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Starts a monitor of the mesh at `url` in the background, as the user of `creds`. It ends when the `directory` is gone; its
/// notes and errors are in `monitor.log` there.
pub(super) fn start(
    program: &str,
    url: &str,
    creds: &Path,
    directory: &Path,
) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let log = options.open(directory.join("monitor.log"))?;
    let mut command = std::process::Command::new(program);
    command
        .args(["mesh", "monitor", "--url", url, "--creds"])
        .arg(creds)
        .arg("--while-exists")
        .arg(directory)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(log);
    // Ctrl-C in the terminal does not reach the monitor.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map(drop)
}

/// One event, as JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Shown<'e> {
    Active {
        at: String,
        monitor: &'e str,
    },
    Standby {
        at: String,
        monitor: &'e str,
    },
    InstanceDown {
        at: &'e str,
        instance: &'e str,
        agents: Vec<&'e str>,
        confirmed: bool,
    },
    AgentRemoved {
        at: &'e str,
        agent: &'e str,
        instance: &'e str,
        confirmed: bool,
    },
    Other {},
}

impl<'e> From<&'e MonitorEvent> for Shown<'e> {
    fn from(event: &'e MonitorEvent) -> Self {
        let now = || timestamp(time::OffsetDateTime::now_utc());
        match event {
            MonitorEvent::Active { monitor } => Self::Active {
                at: now(),
                monitor: monitor.as_str(),
            },
            MonitorEvent::Standby { monitor } => Self::Standby {
                at: now(),
                monitor: monitor.as_str(),
            },
            MonitorEvent::InstanceDown {
                notice,
                is_confirmed,
            } => Self::InstanceDown {
                at: &notice.detected_at,
                instance: notice.instance_id.as_str(),
                agents: notice.agents.iter().map(AgentName::as_str).collect(),
                confirmed: *is_confirmed,
            },
            MonitorEvent::AgentRemoved {
                notice,
                is_confirmed,
            } => Self::AgentRemoved {
                at: &notice.detected_at,
                agent: notice.agent.as_str(),
                instance: notice.instance_id.as_str(),
                confirmed: *is_confirmed,
            },
            // The enum is non-exhaustive.
            _ => Self::Other {},
        }
    }
}

fn as_json(event: &MonitorEvent, printer: &Printer) -> Result<Line, Failure> {
    printer.json_line(&Shown::from(event))
}

fn for_people(event: &MonitorEvent, _: &Printer) -> Result<Line, Failure> {
    let (at, text) = match Shown::from(event) {
        Shown::Active { at, monitor } => (
            at,
            format!("{STRONG}active{STRONG:#} as {}", on_one_line(monitor)),
        ),
        Shown::Standby { at, monitor } => (
            at,
            format!(
                "{STRONG}standby{STRONG:#}: {} is the active monitor",
                on_one_line(monitor)
            ),
        ),
        Shown::InstanceDown {
            at,
            instance,
            agents,
            confirmed,
        } => (
            on_one_line(at),
            format!(
                "instance {STRONG}{}{STRONG:#} is dead; it served {}{}",
                on_one_line(instance),
                on_one_line(&agents.join(", ")),
                source(confirmed)
            ),
        ),
        Shown::AgentRemoved {
            at,
            agent,
            instance,
            confirmed,
        } => (
            on_one_line(at),
            format!(
                "agent {STRONG}{}{STRONG:#} is removed; its last instance was {}{}",
                on_one_line(agent),
                on_one_line(instance),
                source(confirmed)
            ),
        ),
        Shown::Other {} => (String::new(), "unknown event".to_owned()),
    };
    Ok(format!("{FAINT}{at}{FAINT:#}  {text}").into())
}

fn source(is_confirmed: bool) -> &'static str {
    match is_confirmed {
        true => "",
        false => " (announced by another monitor)",
    }
}
