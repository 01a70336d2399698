use serde::Serialize;

use crate::cli::AuthUserRevoke;
use crate::commands::auth::{open, reload, with_similar_users};
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Serialize)]
struct Revoked<'a> {
    revoked: &'a str,
    reloaded: &'a [String],
}

pub(crate) async fn run(arguments: AuthUserRevoke, printer: &Printer) -> Result<(), Failure> {
    let store = open(&arguments.store)?;
    store
        .revoke(&arguments.name)
        .map_err(|error| with_similar_users(error, &store))?;
    let reloaded = reload::local_meshes(&store).await?;
    if printer.is_json() {
        return printer.json(&Revoked {
            revoked: arguments.name.as_str(),
            reloaded: &reloaded,
        });
    }
    printer.line(format!("revoked user {}", arguments.name))?;
    reload::print(printer, &reloaded, "its credentials");
    Ok(())
}
