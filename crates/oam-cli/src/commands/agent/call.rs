use serde_json::value::RawValue;

use super::payload::Request;
use crate::cli::AgentCall;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentCall, printer: &Printer) -> Result<ExitCode, Failure> {
    let timeout = Some(arguments.timeout);
    let preparing = Request::prepare("call", arguments.request, timeout, printer);
    let (request, mesh) = preparing.await?;
    let mut call = mesh.call(request.agent(), request.json());
    if let Some(left) = request.left {
        call = call.timeout(left);
    }
    let Some(reply) = live::unless_interrupted(call).await? else {
        // The dropped call is cancelled at the agent.
        live::leave(mesh).await?;
        return Ok(ExitCode::INTERRUPTED);
    };
    let reply: Box<RawValue> = reply.map_err(|error| request.failure(error))?;
    printer.line(printer.value_line(reply))?;
    Ok(ExitCode::SUCCESS)
}
