use openagentmesh_auth::CredentialsFile;

use super::{output, print_issued};
use crate::cli::AuthUserRotate;
use crate::commands::auth::{open, reload, with_similar_users};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(arguments: AuthUserRotate, printer: &Printer) -> Result<(), Failure> {
    let store = open(&arguments.store)?;
    // The local mesh reads the credentials of its own users in the store.
    let kept = Some(store.credentials_path(&arguments.name)).filter(|kept| kept.exists());
    let path = output(arguments.output.or(kept), &arguments.name)?;
    let file = CredentialsFile::reserve(&path, &store, &arguments.name)?;
    let credentials = store
        .rotate(&arguments.name, arguments.expires)
        .map_err(|error| with_similar_users(error, &store))?;
    file.write(&credentials)?;
    let reloaded = reload::local_meshes(&store).await?;
    let user = store.user(&arguments.name)?;
    print_issued(printer, "rotated", &user, &path, Some(&reloaded))?;
    reload::print(printer, &reloaded, "the key before");
    Ok(())
}
