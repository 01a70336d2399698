use openagentmesh::redacted_url;
use serde_json::json;

use super::{get, note_precedence};
use crate::cli::ContextUse;
use crate::contexts;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: ContextUse, printer: &Printer) -> Result<(), Failure> {
    let name = arguments.name.filter(|_| !arguments.none);
    let selected = name.clone();
    let (_, (previous, url)) = contexts::change(move |document| {
        let url = match &selected {
            Some(name) => redacted_url(&get(&document.contexts, name)?.url),
            None => String::new(),
        };
        let previous = document.contexts.selected().map(str::to_owned);
        document.select(selected.as_deref());
        Ok((previous, url))
    })
    .await?;
    if printer.is_json() {
        printer.json(&json!({ "selected": name, "previous": previous }))?;
    } else {
        printer.line(match &name {
            Some(name) => format!("selected context {name}: {url}"),
            None => "no context is selected".to_owned(),
        })?;
    }
    if let Some(name) = &name {
        note_precedence(printer, name);
    }
    Ok(())
}
