use indicatif::HumanBytes;
use openagentmesh::ObjectInfo;

use super::failure::not_found;
use super::file::{File, sha256};
use crate::cli::WorkspaceInfo;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::{on_one_line, printable, time};

pub(crate) async fn run(arguments: WorkspaceInfo, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let object = mesh.workspace().info(&arguments.name).await?;
    let object = object.ok_or_else(|| not_found(&arguments.name))?;
    if printer.is_json() {
        return printer.json(&File::from(&object));
    }
    for_people(&object, printer)
}

fn for_people(object: &ObjectInfo, printer: &Printer) -> Result<(), Failure> {
    printer.title(&on_one_line(&object.name))?;
    if let Some(description) = &object.description {
        printer.line(printable(description))?;
    }
    printer.line("")?;
    let size = match object.size {
        small @ 0..1024 => format!("{small} bytes"),
        large => format!("{} ({large} bytes)", HumanBytes(large)),
    };
    printer.field("Size", size)?;
    printer.field("Modified", time(object.modified))?;
    if let Some(content_type) = &object.content_type {
        printer.field("Content type", on_one_line(content_type))?;
    }
    if let Some(digest) = sha256(object) {
        printer.field("SHA-256", digest)?;
    }
    for (key, value) in &object.metadata {
        printer.field("Metadata", on_one_line(&format!("{key} = {value}")))?;
    }
    Ok(())
}
