use comfy_table::{ContentArrangement, Table, presets};
use openagentmesh::{CatalogEntry, CatalogFilter};

use crate::cli::MeshCatalog;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: MeshCatalog, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let mut filter = CatalogFilter::default();
    if let Some(channel) = arguments.channel {
        filter = filter.channel(channel);
    }
    for tag in arguments.tags {
        filter = filter.tag(tag);
    }
    let mut entries = mesh.catalog().await?;
    let all = entries.len();
    entries.retain(|entry| filter.matches(entry));
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if arguments.json {
        return printer.json(&entries);
    }
    if entries.is_empty() {
        printer.note(match all {
            0 => format!("no agents on the mesh at {}", mesh.url()),
            1 => "the one agent on this mesh does not match".to_owned(),
            _ => format!("none of the {all} agents on this mesh matches"),
        });
        return Ok(());
    }
    for line in table(&entries).lines() {
        printer.line(line.trim_end());
    }
    Ok(())
}

fn table(entries: &[CatalogEntry]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["NAME", "USE", "TAGS", "DESCRIPTION"]);
    for entry in entries {
        table.add_row([
            entry.name.as_str(),
            how_to_use(entry),
            &entry.tags.join(", "),
            &entry.description,
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.to_string()
}

/// The verb that fits the agent.
fn how_to_use(entry: &CatalogEntry) -> &'static str {
    match (entry.invocable, entry.streaming) {
        (true, false) => "call",
        (true, true) => "stream",
        (false, true) => "subscribe",
        (false, false) => "-",
    }
}
