use super::entry::{Entry, value_on_one_line};
use super::failure::pattern_failure;
use crate::cli::KvList;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;
use crate::text::truncated;

/// Longer values are truncated in the table.
const MAX_VALUE_CHARS: usize = 80;

pub(crate) async fn run(arguments: KvList, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let listed = mesh.kv().list(&arguments.pattern).await;
    let entries = listed.map_err(pattern_failure)?;
    if printer.is_json() {
        return printer.json(&entries.iter().map(Entry::from).collect::<Vec<_>>());
    }
    if entries.is_empty() {
        printer.note(match arguments.pattern.as_str() {
            ">" => format!("no key has a value on the mesh at {}", mesh.url()),
            pattern => format!("no key that matches {pattern} has a value"),
        });
        return Ok(());
    }
    printer.table(
        [
            Column::key("KEY"),
            Column::whole("REVISION", 2),
            Column::text("VALUE", 1),
        ],
        entries.into_iter().map(|entry| {
            let value = truncated(value_on_one_line(&entry.value), MAX_VALUE_CHARS);
            [entry.key, entry.revision.to_string(), value]
        }),
    )
}
