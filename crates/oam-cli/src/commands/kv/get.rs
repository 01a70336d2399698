use super::entry::Entry;
use super::failure::{key_failure, not_found};
use crate::cli::KvGet;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvGet, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let entry = mesh.kv().get(&arguments.key).await.map_err(key_failure)?;
    let entry = entry.ok_or_else(|| not_found(&arguments.key))?;
    if printer.is_json() {
        return printer.json(&Entry::from(&entry));
    }
    printer.bytes(&entry.value)
}
