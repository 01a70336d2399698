use openagentmesh::ErrorCode;

use super::failure::{key_exists, key_failure};
use super::{value, written};
use crate::cli::KvWrite;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvWrite, printer: &Printer) -> Result<(), Failure> {
    let KvWrite { key, .. } = arguments;
    let value = value::read(arguments.value, printer).await?;
    let mesh = connect(arguments.target).await?;
    let created = mesh.kv().create(&key, value).await;
    let revision = created.map_err(|error| match error.code() {
        ErrorCode::KvKeyExists => key_exists(&key),
        _ => key_failure(error),
    })?;
    written::print(&key, revision, printer)
}
