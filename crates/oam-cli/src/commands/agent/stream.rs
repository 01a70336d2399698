use futures::StreamExt;
use openagentmesh::Chunks;
use openagentmesh::protocol::Verb;
use serde_json::value::RawValue;

use super::example;
use super::payload::Request;
use crate::cli::AgentStream;
use crate::deadline::Deadline;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live::{self, End};
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentStream, printer: &Printer) -> Result<ExitCode, Failure> {
    if arguments.request.example {
        let deadline = Deadline::after(arguments.timeout);
        example::print(arguments.request, deadline, printer).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let preparing = Request::prepare(Verb::Stream, arguments.request, arguments.timeout, printer);
    let (request, mesh) = preparing.await?;
    let mut stream = mesh.stream(request.agent(), request.json());
    for header in &request.headers {
        stream = stream.header(&header.name, &header.value);
    }
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
    let ended = ended?;
    if ended == End::Interrupted {
        request.interrupted();
    }
    Ok(ended.into())
}
