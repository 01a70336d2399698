use openagentmesh_auth::CredentialsFile;

use super::{output, print_issued};
use crate::cli::AuthUserAdd;
use crate::commands::auth::open;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: AuthUserAdd, printer: &Printer) -> Result<(), Failure> {
    let store = open(&arguments.store)?;
    let grants = arguments.grants.in_role(arguments.role)?;
    let path = output(arguments.output, &arguments.name)?;
    let file = CredentialsFile::reserve(&path, &store, &arguments.name)?;
    let credentials = store.add(&arguments.name, &grants, arguments.expires)?;
    file.write(&credentials)?;
    let user = store.user(&arguments.name)?;
    print_issued(printer, "added", &user, &path, None)
}
