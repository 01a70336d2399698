use serde_json::json;

use super::failure::not_found;
use crate::cli::WorkspaceDelete;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;

pub(crate) async fn run(arguments: WorkspaceDelete, printer: &Printer) -> Result<(), Failure> {
    let WorkspaceDelete {
        name,
        prefix,
        target,
    } = arguments;
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Err(
                Failure::usage("an empty prefix would delete every file in the workspace")
                    .hint("oam workspace list shows them; delete each by its NAME"),
            );
        }
        let mesh = connect(target).await?;
        let deleted = mesh.workspace().delete_prefix(&prefix).await?;
        if printer.is_json() {
            return printer.json(&json!({ "deleted": deleted }));
        }
        return printer.line(match deleted {
            1 => "deleted 1 file".to_owned(),
            _ => format!("deleted {deleted} files"),
        });
    }
    let name = name.unwrap_or_default();
    let mesh = connect(target).await?;
    if !mesh.workspace().delete(&name).await? {
        return Err(not_found(&name));
    }
    if printer.is_json() {
        return printer.json(&json!({ "deleted": 1 }));
    }
    printer.line(format!("deleted {}", on_one_line(&name)))
}
