//! Results that are printed as they come, until there are no more, nobody reads them, or Ctrl-C.

use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openagentmesh::{AgentMesh, Error, ErrorCode, Event, Events};
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::printer::Printer;

/// How long the end of a command may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// What a shell reports of a command that Ctrl-C ended: the result is not all there is.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why nothing more is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There is no more.
    Complete,
    /// Whoever read it has enough: `oam … | head`.
    Unread,
    /// A signal came.
    Interrupted,
}

/// Prints each of `lines` as it comes and takes no more of them than are read. When it returns,
/// `lines` is dropped, which cancels whatever gives them.
pub(crate) async fn print(
    printer: &Printer,
    lines: impl Stream<Item = Result<String, Failure>>,
    signal: impl Future<Output = Result<(), Failure>>,
) -> Result<End, Failure> {
    let printing = async {
        let writer = Writer::start()?;
        let mut lines = pin!(lines);
        let mut failure = None;
        while failure.is_none()
            && let Some(line) = lines.next().await
        {
            match line {
                Ok(line) => {
                    if writer.lines.send(line).await.is_err() {
                        // It says itself why it has stopped.
                        break;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        // What was printed before stands before what went wrong.
        let end = writer.finish().await?;
        failure.map_or(Ok(end), Err)
    };
    tokio::select! {
        biased;
        signal = signal => {
            signal?;
            Ok(End::Interrupted)
        }
        () = printer.reader_gone() => Ok(End::Unread),
        end = printing => end,
    }
}

/// Does `work` to its end, unless a signal comes: it is dropped then, and there is `None`.
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

/// The events of a subscription without the errors that do not end it: those are told on stderr.
pub(crate) fn unless_over<T>(
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

/// Waits for Ctrl-C or SIGTERM: the orderly end of what has none of its own.
pub(crate) async fn shutdown_signal() -> Result<(), Failure> {
    Ok(openagentmesh::shutdown_signal().await?)
}

/// Leaves the mesh once what was dropped is cancelled at the other end too. Without a connection there
/// is nobody to be told, and nothing to wait for.
pub(crate) async fn leave(mesh: AgentMesh) -> Result<(), Failure> {
    match tokio::time::timeout(FAREWELL, mesh.shutdown()).await {
        Ok(left) => Ok(left?),
        Err(_) => Ok(()),
    }
}

/// A thread that writes lines to stdout. A reader that does not read stops the thread, while signals
/// are still heeded; at the end of the process it is left behind.
struct Writer {
    lines: mpsc::Sender<String>,
    written: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    fn start() -> Result<Self, Failure> {
        let (lines, waiting) = mpsc::channel(1);
        let (tell, written) = oneshot::channel();
        std::thread::Builder::new()
            .name("stdout".to_owned())
            // After a signal, nobody waits for the last lines.
            .spawn(move || drop(tell.send(write(waiting))))
            .map_err(|error| Failure::here(format!("no thread can be started: {error}")))?;
        Ok(Self { lines, written })
    }

    /// Waits until everything is written, if it can be.
    async fn finish(self) -> Result<End, Failure> {
        drop(self.lines);
        match self.written.await {
            Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(End::Unread),
            Ok(Err(error)) => Err(Failure::here(format!("stdout cannot be written: {error}"))),
            Ok(Ok(())) | Err(_) => Ok(End::Complete),
        }
    }
}

fn write(mut lines: mpsc::Receiver<String>) -> io::Result<()> {
    let mut stdout = anstream::stdout();
    while let Some(mut line) = lines.blocking_recv() {
        line.push('\n');
        stdout.write_all(line.as_bytes())?;
        stdout.flush()?;
    }
    Ok(())
}
