use openagentmesh::ErrorCode;

use super::{key_failure, replacing, value, written};
use crate::cli::KvWrite;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvWrite, printer: &Printer) -> Result<(), Failure> {
    let KvWrite { key, .. } = arguments;
    let value = value::read(arguments.value).await?;
    let mesh = connect(arguments.target).await?;
    let created = mesh.kv().create(&key, value).await;
    let revision = created.map_err(|error| match error.code() {
        ErrorCode::KvKeyExists => {
            let message = format!("key '{key}' has a value already");
            Failure::mesh(ErrorCode::KvKeyExists, message).hint(replacing(&key))
        }
        _ => key_failure(error),
    })?;
    written(&key, revision, arguments.json, printer)
}
