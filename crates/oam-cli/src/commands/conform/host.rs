//! `oam conform host`.

use openagentmesh::Error;
use openagentmesh_conform::{AgentName, HostCheck, Report, Role, Settings};
use serde_json::Value;

use super::report::Expectations;
use super::{connect, failure};
use crate::cli::ConformHost;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: ConformHost, printer: &Printer) -> Result<ExitCode, Failure> {
    let names: Result<Vec<AgentName>, _> = arguments.names.iter().map(AgentName::new).collect();
    let names = names.map_err(Error::from)?;
    if names.len() > 1 && (arguments.input.is_some() || arguments.slow_input.is_some()) {
        let message =
            "conflicting arguments: --input and --slow-input belong to one agent; give one NAME";
        return Err(Failure::usage(message));
    }
    let input = parse("--input", arguments.input.as_deref())?;
    let slow_input = parse("--slow-input", arguments.slow_input.as_deref())?;
    let expectations = Expectations::read(&arguments.report, Role::Host)?;
    let settings = Settings {
        answer_timeout: arguments.timeout,
        ..Settings::default()
    };
    let mesh = connect(arguments.target).await?;
    let mut signal = std::pin::pin!(live::shutdown_signal());
    let notes = *printer;
    let mut whole: Option<Report> = None;
    for name in names {
        let mut check = HostCheck::new(name)
            .settings(settings)
            .on_prompt(move |prompt| {
                notes.note(prompt);
            });
        if let Some(input) = input.clone() {
            check = check.input(input);
        }
        if let Some(input) = slow_input.clone() {
            check = check.slow_input(input);
        }
        if let Some(limit) = arguments.await_registration {
            check = check.await_registration(limit);
        }
        if let Some(limit) = arguments.await_leaving {
            check = check.await_leaving(limit);
        }
        let stop = async { drop(signal.as_mut().await) };
        let Some(report) = check.run_until(&mesh, stop).await.map_err(failure)? else {
            return Ok(ExitCode::INTERRUPTED);
        };
        match &mut whole {
            Some(whole) => whole.merge(report),
            None => whole = Some(report),
        }
    }
    match whole {
        Some(report) => expectations.print(&arguments.names, &report, printer),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn parse(option: &str, json: Option<&str>) -> Result<Option<Value>, Failure> {
    let parsed = json.map(serde_json::from_str).transpose();
    parsed.map_err(|error| Failure::usage(format!("invalid JSON of {option}: {error}")))
}
