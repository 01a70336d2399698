//! Results that are printed as they arrive: until they end, the reader closes the pipe, or Ctrl-C.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openagentmesh::{AgentMesh, Error, ErrorCode, Event, Events};
use tokio::sync::{mpsc, oneshot};

use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::printer::{Printer, broken};

/// Limit of each step that ends a command: the clean-up of an upload, and the shutdown of the
/// client.
pub(crate) const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time in which an interrupted command ends, unless it is blocked in a write.
const BLOCKED_TIMEOUT: Duration = Duration::from_millis(200);

/// The reason for which printing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All results are printed.
    Complete,
    /// The reader closed the pipe, as in `oam … | head`.
    ReaderClosed,
    /// A signal arrived.
    Interrupted,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Complete | End::ReaderClosed => Self::SUCCESS,
            End::Interrupted => Self::INTERRUPTED,
        }
    }
}

/// Prints each of `lines` as it arrives, the first `count` if it is given, and reads them no faster than stdout is read. On return,
/// `lines` is dropped, which cancels the request that produces them.
pub(crate) async fn print(
    printer: &Printer,
    lines: impl Stream<Item = Result<Line, Failure>>,
    count: Option<usize>,
    signal: impl Future<Output = Result<(), Failure>>,
) -> Result<End, Failure> {
    let printing = async {
        let writer = Writer::start()?;
        let mut lines = pin!(lines.take(count.unwrap_or(usize::MAX)));
        let mut failure = None;
        while failure.is_none() {
            let line = tokio::select! {
                biased;
                // The writer has stopped; `finish` returns its error. The next line may be far away.
                () = writer.lines.closed() => break,
                line = lines.next() => line,
            };
            let Some(line) = line else { break };
            match line {
                Ok(line) => {
                    if writer.lines.send(line).await.is_err() {
                        break;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        // Results are written before the error that followed them.
        let end = writer.finish().await?;
        failure.map_or(Ok(end), Err)
    };
    tokio::select! {
        biased;
        signal = signal => {
            signal?;
            Ok(End::Interrupted)
        }
        // A failure that has arrived goes before a closed pipe.
        end = printing => end,
        () = printer.reader_closed() => Ok(End::ReaderClosed),
    }
}

/// Prints one line as [`print`] does: on a runtime of one thread, a write that waits for its reader would block signals.
pub(crate) async fn print_line(printer: &Printer, line: Line) -> Result<End, Failure> {
    let line = futures::stream::iter([Ok(broken(line, 0))]);
    print(printer, line, None, shutdown_signal()).await
}

/// Runs `work` to completion. A signal drops it, and the result is `None`.
pub(crate) async fn unless_interrupted<T>(
    work: impl IntoFuture<Output = T>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        biased;
        signal = shutdown_signal() => {
            signal?;
            Ok(None)
        }
        done = work.into_future() => Ok(Some(done)),
    }
}

/// The events of a subscription. Errors that do not end the subscription are printed to stderr
/// instead.
pub(crate) fn report_recoverable_errors<T>(
    printer: &Printer,
    events: Events<T>,
) -> impl Stream<Item = Result<Event<T>, Failure>> {
    events.filter_map(async |event: Result<Event<T>, Error>| match event {
        Ok(event) => Some(Ok(event)),
        Err(error) if error.code() == &ErrorCode::Timeout => Some(Err(error.into())),
        Err(error) => {
            printer.failure(&error.into());
            None
        }
    })
}

/// Waits for Ctrl-C or SIGTERM, which end a command without an end of its own in order.
pub(crate) async fn shutdown_signal() -> Result<(), Failure> {
    let listener = Listener::new();
    openagentmesh::shutdown_signal().await?;
    // The command that was interrupted ends in order.
    std::mem::forget(listener);
    Ok(())
}

/// The number of [`Listener`]s.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

/// A part of a command that ends in order when a signal arrives. While no such value lives, a signal ends the command at
/// once.
pub(crate) struct Listener(());

impl Listener {
    pub(crate) fn new() -> Self {
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Resolves when Ctrl-C or SIGTERM arrives and the command does not end in order by itself. If the command then goes on,
/// because it waits for the reader of its output, the process exits after [`BLOCKED_TIMEOUT`].
pub(crate) async fn interrupted() {
    let watchdog = tokio::spawn(async {
        unhandled_signal().await;
        tokio::time::sleep(BLOCKED_TIMEOUT).await;
        std::process::exit(ExitCode::INTERRUPTED.to_u8().into());
    });
    unhandled_signal().await;
    drop(watchdog);
}

async fn unhandled_signal() {
    loop {
        if let Err(error) = openagentmesh::shutdown_signal().await {
            tracing::warn!(%error, "a signal ends the command at once");
            std::future::pending::<()>().await;
        }
        if LISTENERS.load(Ordering::SeqCst) == 0 {
            return;
        }
    }
}

/// Closes the connection once the cancellations of dropped requests are sent. Gives up after
/// [`LEAVE_TIMEOUT`], as without a connection they cannot be sent.
pub(crate) async fn leave(mesh: AgentMesh) -> Result<(), Failure> {
    match tokio::time::timeout(LEAVE_TIMEOUT, mesh.shutdown()).await {
        Ok(left) => Ok(left?),
        Err(_) => Ok(()),
    }
}

/// A thread that writes lines to stdout. A slow reader blocks the thread, but not the handling of
/// signals; the thread ends with the process.
struct Writer {
    lines: mpsc::Sender<Line>,
    result: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    fn start() -> Result<Self, Failure> {
        let (lines, queue) = mpsc::channel(1);
        let (sender, result) = oneshot::channel();
        std::thread::Builder::new()
            .name("stdout".to_owned())
            // After a signal, the receiver is dropped and the result is not needed.
            .spawn(move || drop(sender.send(write(queue))))
            .map_err(|error| Failure::local(format!("cannot start a thread: {error}")))?;
        Ok(Self { lines, result })
    }

    /// Waits until all lines are written, or writing has failed.
    async fn finish(self) -> Result<End, Failure> {
        drop(self.lines);
        match self.result.await {
            Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(End::ReaderClosed),
            Ok(Err(error)) => Err(Failure::stdout(&error)),
            Ok(Ok(())) | Err(_) => Ok(End::Complete),
        }
    }
}

fn write(mut lines: mpsc::Receiver<Line>) -> io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        line.write()?;
    }
    Ok(())
}
