use futures::StreamExt;
use openagentmesh::Chunks;
use serde_json::value::RawValue;

use super::payload::Request;
use crate::cli::AgentStream;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentStream, printer: &Printer) -> Result<ExitCode, Failure> {
    let preparing = Request::prepare("stream", arguments.request, arguments.timeout, printer);
    let (request, mesh) = preparing.await?;
    let mut stream = mesh.stream(request.agent(), request.json());
    if let Some(left) = request.left {
        // The limit is for the whole stream, so a single chunk may take all of it.
        stream = stream.timeout(left).chunk_timeout(left);
    }
    let failure = |error| request.failure(error);
    let chunks: Chunks<Box<RawValue>> = stream.await.map_err(failure)?;
    let lines = chunks.map(|chunk| match chunk {
        Ok(chunk) => Ok(printer.value_line(chunk)),
        Err(error) => Err(failure(error)),
    });
    let ended = live::print(printer, lines, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
}
