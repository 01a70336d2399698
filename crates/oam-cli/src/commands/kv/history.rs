use openagentmesh::{ErrorCode, KvRevision};
use serde::Serialize;

use super::entry::{Entry, value_on_one_line};
use super::failure::key_failure;
use crate::cli::KvHistory;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;
use crate::text;

/// Longer values are truncated in the table.
const MAX_VALUE_CHARS: usize = 80;

pub(crate) async fn run(arguments: KvHistory, printer: &Printer) -> Result<(), Failure> {
    let KvHistory { key, target } = arguments;
    let mesh = connect(target).await?;
    let writes = mesh.kv().history(&key).await.map_err(key_failure)?;
    if writes.is_empty() {
        let message = format!("key '{key}' was never written");
        return Err(Failure::mesh(ErrorCode::NotFound, message)
            .hint("oam kv list lists the keys with a value"));
    }
    if printer.is_json() {
        return printer.json(&writes.iter().map(Change::from).collect::<Vec<_>>());
    }
    printer.table(
        [
            Column::key("REVISION"),
            Column::whole("TIME", 2),
            Column::text("VALUE", 1),
        ],
        writes.iter().map(|write| {
            let value = match &write.value {
                Some(value) => text::truncated(value_on_one_line(value), MAX_VALUE_CHARS),
                None => "(deleted)".to_owned(),
            };
            [write.revision.to_string(), text::time(write.created), value]
        }),
    )
}

/// The JSON output.
#[derive(Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
enum Change<'c> {
    Put(Entry<'c>),
    Deleted {
        key: &'c str,
        revision: u64,
        created: String,
    },
}

impl<'c> From<&'c KvRevision> for Change<'c> {
    fn from(write: &'c KvRevision) -> Self {
        match &write.value {
            Some(value) => Self::Put(Entry::new(&write.key, write.revision, write.created, value)),
            None => Self::Deleted {
                key: &write.key,
                revision: write.revision,
                created: text::timestamp(write.created),
            },
        }
    }
}
