use super::entry::Entry;
use super::failure::{key_failure, not_found};
use crate::cli::KvGet;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvGet, printer: &Printer) -> Result<(), Failure> {
    let mesh = connect(arguments.target).await?;
    let kv = mesh.kv();
    let entry = kv.get(&arguments.key).await.map_err(key_failure)?;
    let Some(entry) = entry else {
        return Err(not_found(&kv, &arguments.key).await);
    };
    if printer.is_json() {
        return printer.json(&Entry::from(&entry));
    }
    printer.bytes(&entry.value)
}
