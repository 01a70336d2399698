use indicatif::HumanBytes;

use super::file::File;
use crate::cli::WorkspaceList;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;
use crate::text::time;

pub(crate) async fn run(arguments: WorkspaceList, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let objects = mesh.workspace().list(&arguments.prefix).await?;
    if printer.is_json() {
        return printer.json(&objects.iter().map(File::from).collect::<Vec<_>>());
    }
    if objects.is_empty() {
        printer.note(match arguments.prefix.as_str() {
            "" => format!("no files in the workspace of the mesh at {}", mesh.url()),
            prefix => format!("no file in the workspace starts with '{prefix}'"),
        });
        return Ok(());
    }
    printer.table(
        [
            Column::key("NAME"),
            Column::whole("SIZE", 1),
            Column::whole("MODIFIED", 2),
            Column::text("TYPE", 3),
        ],
        objects.iter().map(|object| {
            [
                object.name.clone(),
                HumanBytes(object.size).to_string(),
                time(object.modified),
                object.content_type.as_deref().unwrap_or("-").to_owned(),
            ]
        }),
    )
}
