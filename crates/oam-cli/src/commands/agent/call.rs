use openagentmesh::{AgentName, Error};
use serde_json::value::RawValue;

use super::payload::Request;
use crate::cli::AgentCall;
use crate::connection::connect;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::line::Line;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentCall, printer: &Printer) -> Result<(), Failure> {
    let deadline = Deadline::after(Some(arguments.timeout));
    let name = AgentName::new(&arguments.name).map_err(Error::from)?;
    let request = Request {
        verb: "call",
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
    let mut call = mesh.call(&name, payload.json());
    if let Some(left) = left {
        call = call.timeout(left);
    }
    let reply: Box<RawValue> = call
        .await
        .map_err(|error| payload.failure(error, &request, left))?;
    printer.line(Line::json(reply, arguments.json))
}
