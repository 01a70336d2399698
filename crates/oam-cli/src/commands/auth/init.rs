use std::path::Path;

use openagentmesh_auth::Store;
use serde::Serialize;

use crate::cli::AuthInit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;

#[derive(Serialize)]
struct Initialised<'a> {
    directory: &'a Path,
}

pub(crate) fn run(arguments: &AuthInit, printer: &Printer) -> Result<(), Failure> {
    let store = Store::init(&super::directory(&arguments.store)?)?;
    let directory = store.directory();
    if printer.is_json() {
        return printer.json(&Initialised { directory });
    }
    let directory = on_one_line(&directory.to_string_lossy());
    printer.line(format!("the keys of the mesh are in {directory}"))?;
    printer.note("whoever has them has the mesh: keep them private, and a backup");
    printer.hint_for_people(
        "next: oam auth user add NAME --role worker --agent AGENT; oam auth server-conf",
    );
    Ok(())
}
