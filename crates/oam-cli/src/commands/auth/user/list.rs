use crate::cli::AuthUserList;
use crate::commands::auth::open;
use crate::commands::auth::shown::{ShownUser, expiry, listed};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;

pub(crate) fn run(arguments: &AuthUserList, printer: &Printer) -> Result<(), Failure> {
    let users = open(&arguments.store)?.users()?;
    if printer.is_json() {
        let users = users.iter().map(ShownUser::new);
        return printer.json(&users.collect::<Vec<_>>());
    }
    if users.is_empty() {
        printer.note("the mesh has no users; oam auth user add NAME --role ROLE adds one");
        return Ok(());
    }
    printer.table(
        [
            Column::key("NAME"),
            Column::whole("ROLE", 1),
            Column::whole("STATE", 2),
            Column::whole("EXPIRES", 4),
            Column::text("AGENTS", 3),
            Column::text("MAY CALL", 5),
            Column::text("VALUES", 6),
            Column::text("FILES", 7),
        ],
        users.iter().map(|user| {
            let grants = &user.grants;
            [
                user.name.to_string(),
                grants.role().to_string(),
                user.state.as_str().to_owned(),
                expiry(user.expires_at),
                listed(grants.agents()),
                listed(grants.may_call()),
                listed(grants.kv()),
                listed(grants.files()),
            ]
        }),
    )
}
