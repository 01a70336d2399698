use openagentmesh::protocol::Verb;
use serde_json::value::RawValue;

use super::example;
use super::payload::Request;
use crate::cli::AgentCall;
use crate::deadline::Deadline;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentCall, printer: &Printer) -> Result<ExitCode, Failure> {
    let timeout = Some(arguments.timeout);
    if arguments.request.example {
        let deadline = Deadline::after(timeout);
        example::print(arguments.request, deadline, printer).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let preparing = Request::prepare(Verb::Call, arguments.request, timeout, printer);
    let (request, mesh) = preparing.await?;
    let mut call = mesh.call::<Box<RawValue>>(request.agent(), request.json());
    for header in &request.headers {
        call = call.header(&header.name, &header.value);
    }
    if let Some(left) = request.left {
        call = call.timeout(left);
    }
    let Some(reply) = live::unless_interrupted(call).await? else {
        request.interrupted();
        live::leave(mesh).await?;
        return Ok(ExitCode::INTERRUPTED);
    };
    let reply = reply.map_err(|error| request.failure(error))?;
    printer.line(printer.value_line(reply))?;
    Ok(ExitCode::SUCCESS)
}
