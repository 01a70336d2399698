use serde_json::json;

use super::get;
use crate::cli::ContextRemove;
use crate::contexts;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: ContextRemove, printer: &Printer) -> Result<(), Failure> {
    let name = arguments.name.clone();
    let (_, was_selected) = contexts::change(move |document| {
        // A malformed context can be removed, too.
        if !document.contexts.names().any(|known| known == name) {
            get(&document.contexts, &name)?;
        }
        document.remove(&name);
        let was_selected = document.contexts.selected() == Some(name.as_str());
        if was_selected {
            document.select(None);
        }
        Ok(was_selected)
    })
    .await?;
    let name = arguments.name;
    if printer.is_json() {
        printer.json(&json!({ "removed": name, "selected": was_selected }))?;
    } else {
        printer.line(format!("removed context {name}"))?;
    }
    if was_selected {
        printer.note("it was the selected one; no context is selected now");
    }
    Ok(())
}
