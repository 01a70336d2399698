//! `oam demo`: a local mesh with sample agents.

mod agents;

use std::io::IsTerminal;

use futures::StreamExt;
use openagentmesh::{AgentMesh, Client, URL_VARIABLE};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::printer::Printer;
use crate::{live, shell};

/// Events that the demo prints.
const MAX_EVENTS: usize = 3;

/// The width of a small terminal, and of the blanks around a command and its effect.
const COLUMNS: usize = 80;
const MARGINS: usize = 4;

/// The pages that lead to the first agent.
const FIRST_AGENT: &str = "https://github.com/openagentmesh/openagentmesh-rs/tree/main/docs/start";

/// `program` is the name by which `oam` was started.
pub(crate) async fn run(program: &str, printer: &Printer) -> Result<(), Failure> {
    let _listener = live::Listener::new();
    // One signal listener for both waits, so that no signal is lost between them.
    let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
    let mesh = tokio::select! {
        mesh = show(printer) => mesh?,
        signal = &mut signal => return Ok(signal?),
    };
    if std::io::stdout().is_terminal() {
        invite(mesh.url(), program, printer)?;
        signal.await?;
        mesh.shutdown().await?;
    } else {
        mesh.shutdown().await?;
        next_step(program, printer)?;
    }
    Ok(())
}

/// Starts the mesh and demonstrates each verb on it.
async fn show(printer: &Printer) -> Result<AgentMesh, Failure> {
    let mesh = AgentMesh::local().await?;
    printer.line(format!("A mesh is up at {}", mesh.url()))?;

    mesh.register(agents::all()).await?;
    let catalog = mesh.catalog().await?;
    printer.line(format!(
        "Registered {} agents; each is one Rust function:",
        catalog.len()
    ))?;
    for entry in catalog {
        printer.line(format!("  {:<17}{}", entry.name, entry.description))?;
    }

    // A separate connection, as another process would have.
    let caller = AgentMesh::connect(mesh.url()).await?;
    printer.line("Called from a second connection:")?;
    call(&caller, printer, "echo", json!("hello")).await?;
    let text = json!({"text": "agents are plain functions"});
    call(&caller, printer, "text.count", text).await?;
    printer.line("Streamed, chunk by chunk:")?;
    stream(
        &caller,
        printer,
        "text.words",
        json!({"text": "one by one"}),
    )
    .await?;
    printer.line("Subscribed to, event by event:")?;
    subscribe(&caller, printer, "shop.orders").await?;
    printer
        .line("In the background, shop.bookkeeper has subscribed too and added up the orders:")?;
    call(&caller, printer, "shop.turnover", Value::Null).await?;
    printer.line("Rejected, with an error code for programs:")?;
    rejected(&caller, printer, "text.count", json!({})).await?;
    rejected(
        &caller,
        printer,
        "text.words",
        json!({"text": "one by one"}),
    )
    .await?;
    caller.shutdown().await?;
    Ok(mesh)
}

async fn call(caller: &Client, printer: &Printer, name: &str, input: Value) -> Result<(), Failure> {
    let reply: Value = caller.call(name, &input).await?;
    printer.line(format!("  {} -> {reply}", request(name, &input)))?;
    Ok(())
}

async fn stream(
    caller: &Client,
    printer: &Printer,
    name: &str,
    input: Value,
) -> Result<(), Failure> {
    printer.line(format!("  {}", request(name, &input)))?;
    let mut chunks = caller.stream::<Value>(name, &input).await?;
    while let Some(chunk) = chunks.next().await {
        printer.line(format!("    -> {}", chunk?))?;
    }
    Ok(())
}

async fn subscribe(caller: &Client, printer: &Printer, name: &str) -> Result<(), Failure> {
    printer.line(format!("  {name}"))?;
    let mut events = caller.subscribe::<Value>(name).await?.take(MAX_EVENTS);
    while let Some(event) = events.next().await {
        printer.line(format!("    -> {}", event?.data))?;
    }
    Ok(())
}

/// Makes an invalid call and prints its error.
async fn rejected(
    caller: &Client,
    printer: &Printer,
    name: &str,
    input: Value,
) -> Result<(), Failure> {
    let request = request(name, &input);
    match caller.call::<Value>(name, &input).await {
        Err(error) => {
            printer.line(format!("  {request} -> {}", error.code()))?;
            printer.line(format!("    {error}"))
        }
        Ok(reply) => Err(Failure::local(format!(
            "expected an error of {request}, got {reply}"
        ))),
    }
}

fn request(name: &str, input: &Value) -> String {
    match input {
        Value::Null => name.to_owned(),
        input => format!("{name} {input}"),
    }
}

/// Prints commands for the mesh at `url`.
fn invite(url: &str, program: &str, printer: &Printer) -> Result<(), Failure> {
    let oam = shell::word(program);
    printer.line("")?;
    printer.title("Try these in a second terminal:")?;
    printer.command(&shell::export(URL_VARIABLE, url), "")?;
    for (command, effect) in [
        ("mesh catalog", "lists the agents"),
        ("agent contract text.count", "shows its schemas"),
        ("agent call echo '\"hi\"'", "calls it"),
        (
            "agent stream text.words '{\"text\": \"one by one\"}'",
            "prints each chunk",
        ),
        ("agent subscribe shop.orders", "prints each event"),
        ("mesh listen 'mesh.agent.>'", "prints each message"),
    ] {
        let command = format!("{oam} {command}");
        let fits = command.chars().count() + effect.len() + MARGINS <= COLUMNS;
        printer.command(&command, if fits { effect } else { "" })?;
    }
    next_step(program, printer)?;
    printer.line("")?;
    printer.line("Ctrl-C stops the mesh.")
}

/// The way from the demo to an agent of one's own.
fn next_step(program: &str, printer: &Printer) -> Result<(), Failure> {
    let oam = shell::word(program);
    printer.line("")?;
    printer.title("Next, a mesh of your own, and your first agent in five minutes:")?;
    printer.command(&format!("{oam} mesh up"), "")?;
    printer.line(format!("  {FIRST_AGENT}"))
}
