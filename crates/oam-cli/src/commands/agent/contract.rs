use crate::cli::AgentContract;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AgentContract, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    printer.json(&mesh.contract(&arguments.name).await?)
}
