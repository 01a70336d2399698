use serde::Serialize;

use crate::cli::MeshRepair;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

/// The JSON output.
#[derive(Serialize)]
struct Repair {
    repaired: bool,
    problem: Option<String>,
    agents: usize,
}

pub(crate) async fn run(arguments: MeshRepair, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let problem = mesh.catalog().problem().await?;
    let repaired = mesh.repair_catalog().await?;
    let agents = mesh.catalog().fresh().await?.len();
    if printer.is_json() {
        let problem = problem.map(|problem| problem.to_string());
        return printer.json(&Repair {
            repaired,
            problem,
            agents,
        });
    }
    if let Some(problem) = problem {
        printer.note(problem.to_string());
    }
    let listed = match agents {
        1 => "1 agent is listed".to_owned(),
        _ => format!("{agents} agents are listed"),
    };
    if !repaired {
        return printer.line(format!("the catalog is valid: {listed}"));
    }
    printer.line(format!("repaired the catalog: {listed}"))?;
    printer.note("start the hosts of missing agents again");
    Ok(())
}
