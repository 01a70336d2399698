use serde_json::value::RawValue;

use super::payload::Request;
use crate::cli::AgentCall;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentCall, printer: &Printer) -> Result<(), Failure> {
    let timeout = Some(arguments.timeout);
    let preparing = Request::prepare("call", arguments.request, timeout, printer);
    let (request, mesh) = preparing.await?;
    let mut call = mesh.call(request.agent(), request.json());
    if let Some(left) = request.left {
        call = call.timeout(left);
    }
    let reply: Box<RawValue> = call.await.map_err(|error| request.failure(error))?;
    printer.line(printer.value_line(reply))
}
