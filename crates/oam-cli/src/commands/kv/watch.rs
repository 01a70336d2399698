use std::collections::HashSet;

use futures::StreamExt;
use openagentmesh::KvChange;
use serde::Serialize;

use super::entry::{Entry, value_on_one_line};
use super::failure::pattern_failure;
use crate::cli::KvWatch;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::live;
use crate::printer::{FAINT, Printer, STRONG};
use crate::text::on_one_line;

pub(crate) async fn run(arguments: KvWatch, printer: &Printer) -> Result<ExitCode, Failure> {
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
    let show = if printer.is_json() {
        as_json
    } else {
        for_people
    };
    let mut known = KnownKeys::new(arguments.updates_only);
    let lines = changes.filter_map(move |change| {
        let line = match change {
            Ok(change) if !known.observe(&change) => None,
            Ok(change) => Some(show(&change, printer)),
            Err(error) => Some(Err(error.into())),
        };
        std::future::ready(line)
    });
    let ended = live::print(printer, lines, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
}

/// The keys whose values were printed. The deletion of any other key is not printed.
struct KnownKeys {
    keys: HashSet<String>,
    updates_only: bool,
}

impl KnownKeys {
    fn new(updates_only: bool) -> Self {
        Self {
            keys: HashSet::new(),
            updates_only,
        }
    }

    /// Records the change, and returns whether it must be printed.
    fn observe(&mut self, change: &KvChange) -> bool {
        match change {
            // Without the current values, a deletion may be of any key.
            _ if self.updates_only => true,
            KvChange::Deleted { key, .. } => self.keys.remove(key),
            put => {
                self.keys.insert(put.key().to_owned());
                true
            }
        }
    }
}

fn for_people(change: &KvChange, _: &Printer) -> Result<Line, Failure> {
    let key = on_one_line(change.key());
    let line = match change {
        KvChange::Put(entry) => {
            let value = value_on_one_line(&entry.value);
            format!("{STRONG}{key}{STRONG:#}  {value}")
        }
        _ => format!("{STRONG}{key}{STRONG:#}  {FAINT}(deleted){FAINT:#}"),
    };
    Ok(line.into())
}

fn as_json(change: &KvChange, printer: &Printer) -> Result<Line, Failure> {
    #[derive(Serialize)]
    #[serde(tag = "change", rename_all = "lowercase")]
    enum Change<'c> {
        Put(Entry<'c>),
        Deleted { key: &'c str, revision: u64 },
    }

    match change {
        KvChange::Put(entry) => printer.json_line(&Change::Put(entry.into())),
        KvChange::Deleted { key, revision } => {
            let revision = *revision;
            printer.json_line(&Change::Deleted { key, revision })
        }
        // The enum is non-exhaustive.
        other => Err(Failure::local(format!(
            "unknown kind of change of key '{}': a newer version of oam is needed",
            other.key()
        ))),
    }
}
