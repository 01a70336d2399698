//! `oam mesh logs`.

mod entry;
mod file;
mod merge;

use std::collections::VecDeque;
use std::time::Duration;

use futures::{Stream, stream};
use openagentmesh::{EndpointSource, ErrorCode, redacted_url};
use openagentmesh_local::RunningMesh;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use self::entry::Entry;
use self::merge::MergedLogs;
use crate::cli::MeshLogs;
use crate::connection::endpoint;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::live;
use crate::printer::Printer;

/// Interval between two looks at a log that is followed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Interval between two checks of whether the servers of a silent log still run.
const ALIVE_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(arguments: MeshLogs, printer: &Printer) -> Result<ExitCode, Failure> {
    let mesh = selected(&arguments).await?;
    let logs = MergedLogs::new(&mesh.logs(), arguments.lines, arguments.follow);
    let mut ticks = interval(FOLLOW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let tail = Tail {
        logs: Some(logs),
        pending: VecDeque::new(),
        ticks,
        checked: Instant::now(),
        end: match arguments.follow {
            true => End::Open,
            false => End::Last,
        },
        mesh,
    };
    let lines = lines(tail, printer);
    Ok(live::print(printer, lines, None, live::shutdown_signal())
        .await?
        .into())
}

/// The running mesh that the arguments or the environment select.
async fn selected(arguments: &MeshLogs) -> Result<RunningMesh, Failure> {
    let endpoint = endpoint(&arguments.target)?;
    let meshes = RunningMesh::list().await?;
    let found = meshes.into_iter().find(|mesh| mesh.has_url(&endpoint.url));
    found.ok_or_else(|| {
        let url = redacted_url(&endpoint.url);
        let problem = match endpoint.source {
            EndpointSource::Default => {
                format!("no mesh is selected here, and oam mesh up runs none at {url}")
            }
            _ => format!(
                "oam mesh up runs no mesh at {url} on this machine: its log is where its server runs"
            ),
        };
        Failure::mesh(ErrorCode::NotFound, problem)
            .hint("oam mesh list shows the meshes that oam mesh up runs on this machine")
    })
}

/// Whether more lines may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The log grows.
    Open,
    /// Lines that are in the files now are the last ones.
    Last,
}

struct Tail {
    mesh: RunningMesh,
    /// Absent while a thread reads.
    logs: Option<MergedLogs>,
    pending: VecDeque<Entry>,
    ticks: Interval,
    checked: Instant,
    end: End,
}

fn lines(tail: Tail, printer: &Printer) -> impl Stream<Item = Result<Line, Failure>> {
    stream::unfold(Some(tail), move |tail| async move {
        let mut tail = tail?;
        match tail.next().await {
            Ok(Some(entry)) => {
                let line = match printer.is_json() {
                    true => printer.json_line(&entry.for_programs()),
                    false => Ok(entry.for_people().into()),
                };
                Some((line, Some(tail)))
            }
            Ok(None) => None,
            Err(failure) => Some((Err(failure), None)),
        }
    })
}

impl Tail {
    /// The next line; `None` at the end.
    async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        loop {
            if let Some(entry) = self.pending.pop_front() {
                return Ok(Some(entry));
            }
            self.read().await?;
            if !self.pending.is_empty() {
                continue;
            }
            if self.end == End::Last {
                return Ok(None);
            }
            self.ticks.tick().await;
            if self.checked.elapsed() >= ALIVE_INTERVAL {
                self.checked = Instant::now();
                if !self.mesh.is_running().await? {
                    // One more look: the server wrote its last lines before it ended.
                    self.end = End::Last;
                }
            }
        }
    }

    /// Reads a batch of lines that are in the files, on a thread for blocking work.
    async fn read(&mut self) -> Result<(), Failure> {
        let Some(mut logs) = self.logs.take() else {
            return Ok(());
        };
        let is_last = self.end == End::Last;
        let read = tokio::task::spawn_blocking(move || {
            let batch = logs.batch(is_last);
            (logs, batch)
        });
        let (logs, batch) = read
            .await
            .map_err(|error| Failure::local(format!("cannot read the log: {error}")))?;
        self.logs = Some(logs);
        self.pending.extend(batch?);
        Ok(())
    }
}
