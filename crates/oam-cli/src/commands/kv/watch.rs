use futures::StreamExt;
use openagentmesh::KvChange;
use serde::Serialize;

use super::entry::{Entry, value_on_one_line};
use super::pattern_failure;
use crate::cli::KvWatch;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::{FAINT, Printer, STRONG};
use crate::{json, live};

pub(crate) async fn run(arguments: KvWatch, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let mut watch = mesh.kv().watch(&arguments.pattern);
    if arguments.updates_only {
        watch = watch.updates_only();
    }
    let changes = watch.await.map_err(pattern_failure)?;
    printer.hint_for_people(&format!(
        "watching the keys that match {}; Ctrl-C ends it",
        arguments.pattern
    ));
    let show = if arguments.json { as_json } else { for_people };
    let lines = changes.map(|change| show(&change?));
    let ended = live::print(printer, lines, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    ended.map(|_| ())
}

fn for_people(change: &KvChange) -> Result<String, Failure> {
    let key = change.key();
    Ok(match change {
        KvChange::Put(entry) => {
            let value = value_on_one_line(&entry.value);
            format!("{STRONG}{key}{STRONG:#}  {value}")
        }
        _ => format!("{STRONG}{key}{STRONG:#}  {FAINT}(deleted){FAINT:#}"),
    })
}

fn as_json(change: &KvChange) -> Result<String, Failure> {
    #[derive(Serialize)]
    #[serde(tag = "change", rename_all = "lowercase")]
    enum Change<'c> {
        Put(Entry<'c>),
        Deleted { key: &'c str, revision: u64 },
    }

    match change {
        KvChange::Put(entry) => json::line(&Change::Put(entry.into())),
        KvChange::Deleted { key, revision } => json::line(&Change::Deleted {
            key,
            revision: *revision,
        }),
        // A kind of change that came later.
        other => Err(Failure::here(format!(
            "what happened to key '{}' is not known to this version",
            other.key()
        ))),
    }
}
