use openagentmesh::{AgentName, Error};
use serde_json::value::RawValue;

use super::payload::Payload;
use crate::cli::AgentCall;
use crate::connection::connect;
use crate::failure::Failure;
use crate::json;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentCall, printer: &Printer) -> Result<(), Failure> {
    let name = AgentName::new(&arguments.name).map_err(Error::from)?;
    let payload = Payload::read(arguments.payload, "call", &name).await?;
    let mesh = connect(arguments.target).await?;
    let reply: Box<RawValue> = mesh
        .call(&name, payload.json())
        .timeout(arguments.timeout)
        .await
        .map_err(|error| payload.failure(error))?;
    printer.line(json::text(&reply, arguments.json));
    Ok(())
}
