//! `oam mesh status`.

mod json;
mod origin;
mod text;

use openagentmesh::inspect::Severity;

use self::origin::Origin;
use crate::cli::MeshStatus;
use crate::connection::{connect, endpoint};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::live;
use crate::printer::Printer;

/// Returns the exit code 1 when a part of the mesh does not work.
pub(crate) async fn run(arguments: MeshStatus, printer: &Printer) -> Result<ExitCode, Failure> {
    let endpoint = endpoint(&arguments.target)?;
    let mesh = connect(arguments.target).await?;
    let origin = Origin::new(endpoint).await;
    let inspection = mesh.inspect().await?;
    let findings = inspection.findings();
    if printer.is_json() {
        printer.json(&json::Status::new(&inspection, &findings, &origin))?;
    } else {
        text::print(&inspection, &origin, printer)?;
        let denied = text::denied_subjects(&inspection);
        if !denied.is_empty() {
            printer.note(format!(
                "not readable for this user, whom the server does not permit: {}",
                denied.join(", ")
            ));
        }
        for finding in &findings {
            printer.note(format!("{}: {}", finding.severity, finding.message));
        }
    }
    live::leave(mesh).await?;
    let is_broken = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    Ok(match is_broken {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
