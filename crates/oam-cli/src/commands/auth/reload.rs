//! Revocations on the meshes that run on this machine.

use openagentmesh_auth::Store;
use openagentmesh_local::RunningMesh;

use crate::failure::Failure;
use crate::printer::Printer;

/// Gives the current accounts to the meshes of `oam mesh up --auth` that use the store. Returns their URLs.
pub(super) async fn local_meshes(store: &Store) -> Result<Vec<String>, Failure> {
    let current = store.accounts_config()?;
    let mut reloaded = Vec::new();
    for mesh in RunningMesh::list().await? {
        let accounts = mesh.accounts().await?;
        if accounts.is_some_and(|accounts| operator(&accounts) == operator(&current)) {
            mesh.set_accounts(current.clone()).await?;
            reloaded.push(mesh.url().to_owned());
        }
    }
    Ok(reloaded)
}

/// The line with the JWT of the operator, which the meshes of one store have in common.
fn operator(accounts: &str) -> Option<&str> {
    accounts.lines().find(|line| line.starts_with("operator:"))
}

/// Prints which servers refuse `what` now, or how to make them.
pub(super) fn print(printer: &Printer, reloaded: &[String], what: &str) {
    if printer.is_json() {
        return;
    }
    match reloaded {
        [] => printer.note(format!(
            "servers accept {what} until they are reloaded: print the configuration again with oam auth server-conf, then run \
             nats-server --signal reload"
        )),
        urls => printer.note(format!("reloaded the mesh at {}, which refuses {what}", urls.join(", "))),
    }
}
