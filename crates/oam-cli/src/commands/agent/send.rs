use openagentmesh::protocol::Verb;
use serde::Serialize;
use serde_json::value::RawValue;

use super::example;
use super::payload::{Ready, Request};
use crate::cli::AgentSend;
use crate::deadline::Deadline;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentSend, printer: &Printer) -> Result<ExitCode, Failure> {
    let timeout = Some(arguments.timeout);
    if arguments.request.example {
        let deadline = Deadline::after(timeout);
        example::print(arguments.request, deadline, printer).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let preparing = Request::prepare(Verb::Send, arguments.request, timeout, printer);
    let (request, mesh) = preparing.await?;
    let mut send = mesh.send(request.agent(), request.json());
    for header in &request.headers {
        send = send.header(&header.name, &header.value);
    }
    if let Some(left) = request.left {
        send = send.timeout(left);
    }
    if let Some(subject) = &arguments.reply_to {
        send = send.reply_to(subject);
    }
    let id = send.request_id().map(ToString::to_string);
    let id = id.unwrap_or_default();
    let sending = async {
        if !arguments.wait {
            return send.await.map(|()| None);
        }
        let reply = send.reply::<Box<RawValue>>().await?;
        printer.hint_for_people(&format!("sent as request {id}; Ctrl-C cancels it"));
        reply.await.map(Some)
    };
    let Some(sent) = live::unless_interrupted(sending).await? else {
        request.interrupted();
        live::leave(mesh).await?;
        return Ok(ExitCode::INTERRUPTED);
    };
    let line = match sent.map_err(|error| request.failure(error))? {
        Some(reply) => printer.value_line(reply),
        None => sent_line(&request, &id, printer)?,
    };
    let ended = live::print_line(printer, line).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
}

fn sent_line(request: &Ready<'_>, id: &str, printer: &Printer) -> Result<Line, Failure> {
    #[derive(Serialize)]
    struct Sent<'r> {
        agent: &'r str,
        request_id: &'r str,
    }

    let agent = request.agent().as_str();
    if printer.is_json() {
        return printer.document(&Sent {
            agent,
            request_id: id,
        });
    }
    Ok(format!("sent to {agent}, request {id}").into())
}
