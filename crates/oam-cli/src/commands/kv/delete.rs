use serde_json::json;

use super::failure::{key_failure, not_found};
use crate::cli::KvDelete;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvDelete, printer: &Printer) -> Result<(), Failure> {
    let KvDelete { key, target } = arguments;
    let mesh = connect(target).await?;
    let kv = mesh.kv();
    // A delete of a missing key succeeds on the mesh; a mistyped key must be reported.
    if kv.get(&key).await.map_err(key_failure)?.is_none() {
        return Err(not_found(&key));
    }
    kv.delete(&key).await.map_err(key_failure)?;
    if printer.is_json() {
        return printer.json(&json!({ "deleted": 1 }));
    }
    printer.line(format!("deleted {key}"))
}
