use std::process::ExitCode;

use futures::StreamExt;
use openagentmesh::{AgentName, Chunks, Error};
use serde_json::value::RawValue;

use super::payload::Request;
use crate::cli::AgentStream;
use crate::connection::connect;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::line::Line;
use crate::live::{self, End};
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentStream, printer: &Printer) -> Result<ExitCode, Failure> {
    let deadline = Deadline::after(arguments.timeout);
    let name = AgentName::new(&arguments.name).map_err(Error::from)?;
    let request = Request {
        verb: "stream",
        agent: &name,
        deadline,
        printer,
    };
    let source = request.source(arguments.payload).await?;
    let mesh = deadline
        .bound("not connected to the mesh", connect(arguments.target))
        .await?;
    let payload = request.payload(source, &mesh).await?;
    let left = deadline.left();
    let mut stream = mesh.stream(&name, payload.json());
    if let Some(left) = left {
        // The limit is for the whole stream, so a single chunk may take all of it.
        stream = stream.timeout(left).chunk_timeout(left);
    }
    let failure = |error| payload.failure(error, &request, left);
    let chunks: Chunks<Box<RawValue>> = stream.await.map_err(failure)?;
    let lines = chunks.map(|chunk| match chunk {
        Ok(chunk) => Ok(Line::json(chunk, arguments.json)),
        Err(error) => Err(failure(error)),
    });
    let ended = live::print(printer, lines, interrupt()).await;
    live::leave(mesh).await?;
    Ok(match ended? {
        End::Complete | End::ReaderClosed => ExitCode::SUCCESS,
        End::Interrupted => ExitCode::from(live::INTERRUPTED),
    })
}

/// Waits for Ctrl-C. SIGTERM ends the process at once; the agent detects the lost caller.
async fn interrupt() -> Result<(), Failure> {
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::local(format!("cannot listen for Ctrl-C: {error}")))
}
