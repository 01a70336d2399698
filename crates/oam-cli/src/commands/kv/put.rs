use super::{key_failure, value, written};
use crate::cli::KvWrite;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: KvWrite, printer: &Printer) -> Result<(), Failure> {
    let value = value::read(arguments.value).await?;
    let mesh = connect(arguments.target).await?;
    let put = mesh.kv().put(&arguments.key, value).await;
    written(
        &arguments.key,
        put.map_err(key_failure)?,
        arguments.json,
        printer,
    )
}
