//! `oam conform caller`.

use openagentmesh_conform::{CallerCheck, Role};

use super::report::Expectations;
use super::{connect, failure};
use crate::cli::ConformCaller;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

pub(crate) async fn run(arguments: ConformCaller, printer: &Printer) -> Result<ExitCode, Failure> {
    let expectations = Expectations::read(&arguments.report, Role::Caller)?;
    let mesh = connect(arguments.target).await?;
    let notes = *printer;
    let check = CallerCheck::new()
        .timeout(arguments.timeout)
        .on_prompt(move |prompt| notes.note(prompt));
    let stop = async { drop(live::shutdown_signal().await) };
    let report = check.run_until(&mesh, stop).await.map_err(failure)?;
    expectations.print(&[], &report, printer)
}
