use super::failure::key_failure;
use super::{value, written};
use crate::cli::KvWrite;
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvWrite, printer: &Printer) -> Result<(), Failure> {
    let KvWrite { key, .. } = arguments;
    let value = value::read(arguments.value, printer).await?;
    let mesh = connect(arguments.target).await?;
    let revision = mesh.kv().put(&key, value).await.map_err(key_failure)?;
    written::print(&key, revision, printer)
}
