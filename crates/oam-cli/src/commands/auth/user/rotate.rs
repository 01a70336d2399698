use super::{output, print_issued};
use crate::cli::AuthUserRotate;
use crate::commands::auth::{open, reload, with_similar_users};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AuthUserRotate, printer: &Printer) -> Result<(), Failure> {
    let store = open(&arguments.store)?;
    let path = output(arguments.output, &arguments.name)?;
    let credentials = store
        .rotate(&arguments.name, arguments.expires)
        .map_err(|error| with_similar_users(error, &store))?;
    credentials.write(&path)?;
    let reloaded = reload::local_meshes(&store).await?;
    let user = store.user(&arguments.name)?;
    print_issued(printer, "rotated", &user, &path, Some(&reloaded))?;
    reload::print(printer, &reloaded, "the key before");
    Ok(())
}
