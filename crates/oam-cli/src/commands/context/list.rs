use openagentmesh::MeshContexts;

use super::Shown;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;

pub(crate) fn run(printer: &Printer) -> Result<(), Failure> {
    let contexts = MeshContexts::read()?;
    let mut known = Vec::new();
    for context in contexts.iter() {
        match context {
            Ok(context) => known.push(context),
            Err(error) => printer.note(error.message()),
        }
    }
    let shown = known
        .iter()
        .map(|context| Shown::new(context, contexts.selected()));
    if printer.is_json() {
        return printer.json(&shown.collect::<Vec<_>>());
    }
    if known.is_empty() {
        printer.note("no contexts are stored; oam context add NAME URL adds one");
        return Ok(());
    }
    printer.table(
        [
            Column::key("NAME"),
            Column::text("URL", 1),
            Column::text("DESCRIPTION", 2),
            Column::text("CREDENTIALS", 3),
        ],
        shown.map(|context| {
            let mark = if context.selected { " *" } else { "" };
            [
                format!("{}{mark}", context.name.unwrap_or_default()),
                context.url_with_login(),
                context.description.unwrap_or("-").to_owned(),
                match context.creds {
                    Some(path) => path.display().to_string(),
                    None => "-".to_owned(),
                },
            ]
        }),
    )
}
