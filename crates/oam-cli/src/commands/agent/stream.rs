use std::process::ExitCode;

use futures::StreamExt;
use openagentmesh::{AgentName, Chunks, Error};
use serde_json::value::RawValue;

use super::payload::Payload;
use crate::cli::AgentStream;
use crate::connection::connect;
use crate::failure::Failure;
use crate::json;
use crate::live::{self, End};
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentStream, printer: &Printer) -> Result<ExitCode, Failure> {
    let name = AgentName::new(&arguments.name).map_err(Error::from)?;
    let payload = Payload::read(arguments.payload, "stream", &name).await?;
    let mesh = connect(arguments.target).await?;
    let mut request = mesh.stream(&name, payload.json());
    if let Some(timeout) = arguments.timeout {
        // The limit is for the whole stream, so a single chunk may take all of it.
        request = request.timeout(timeout).chunk_timeout(timeout);
    }
    let chunks: Chunks<Box<RawValue>> = request.await.map_err(|error| payload.failure(error))?;
    let lines = chunks.map(|chunk| match chunk {
        Ok(chunk) => Ok(json::text(&chunk, arguments.json)),
        Err(error) => Err(payload.failure(error)),
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
