use futures::StreamExt;
use openagentmesh::Events;
use serde_json::value::RawValue;

use crate::cli::AgentSubscribe;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentSubscribe, printer: &Printer) -> Result<ExitCode, Failure> {
    let mesh = connect(arguments.target).await?;
    let mut request = mesh.subscribe(&arguments.name);
    if let Some(timeout) = arguments.timeout {
        request = request.timeout(timeout);
    }
    let events: Events<Box<RawValue>> = request
        .await
        .map_err(|error| Failure::wrong_verb(&error, "").unwrap_or_else(|| error.into()))?;
    printer.hint_for_people(&format!(
        "waiting for the events of {}; Ctrl-C ends it",
        arguments.name
    ));
    let lines = live::report_recoverable_errors(printer, events)
        .map(|event| event.map(|event| printer.value_line(event.data)));
    let ended = live::print(printer, lines, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
}
