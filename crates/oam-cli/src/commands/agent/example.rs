use openagentmesh::protocol::Verb;
use openagentmesh::{AgentName, Error, ErrorCode};
use serde_json::Value;

use crate::cli::AgentRequest;
use crate::connection::connect;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::schema;

/// Prints an input that the agent takes.
pub(super) async fn print(
    arguments: AgentRequest,
    deadline: Deadline,
    printer: &Printer,
) -> Result<(), Failure> {
    let name = AgentName::new(&arguments.name).map_err(Error::from)?;
    let reading = async {
        let mesh = connect(arguments.target).await?;
        Ok(mesh.contract(&name).await?)
    };
    let contract = deadline.bound("no contract received", reading).await?;
    if !contract.capabilities.invocable {
        let reason = contract
            .capabilities
            .mismatch(Verb::Call)
            .unwrap_or("takes no requests");
        let message = format!("agent '{name}' {reason}");
        return Err(Failure::mesh(ErrorCode::InvocationMismatch, message));
    }
    match &contract.input_schema {
        Some(schema) => printer.json(&schema::example(schema)),
        None => {
            printer.note(format!("agent '{name}' takes no input"));
            printer.json(&Value::Null)
        }
    }
}
