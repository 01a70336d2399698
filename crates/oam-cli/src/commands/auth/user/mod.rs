//! `oam auth user`.

pub(crate) mod add;
pub(crate) mod list;
pub(crate) mod revoke;
pub(crate) mod rotate;

use std::path::{Path, PathBuf};

use openagentmesh_auth::{Permissions, Role, User, UserName};
use serde::Serialize;

use super::shown::{ShownUser, expiry};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{shell, url_file};

/// New credentials, as JSON.
#[derive(Serialize)]
struct Issued<'a> {
    #[serde(flatten)]
    user: ShownUser,
    creds: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    reloaded: Option<&'a [String]>,
}

/// The file for the credentials of `name`.
fn output(given: Option<PathBuf>, name: &UserName) -> Result<PathBuf, Failure> {
    let path = given.unwrap_or_else(|| format!("{name}.creds").into());
    url_file::absolute(&path)
}

/// Prints the credentials that were made, and how a program uses them.
fn print_issued(
    printer: &Printer,
    verb: &str,
    user: &User,
    creds: &Path,
    reloaded: Option<&[String]>,
) -> Result<(), Failure> {
    if printer.is_json() {
        let user = ShownUser::new(user);
        return printer.json(&Issued {
            user,
            creds,
            reloaded,
        });
    }
    let path = creds.to_string_lossy();
    printer.line(format!(
        "{verb} {} {}; its credentials are in {}",
        user.grants.role(),
        user.name,
        on_one_line(&path)
    ))?;
    if user.expires_at.is_some() {
        printer.line(format!("they expire at {}", expiry(user.expires_at)))?;
    }
    printer.note("the file is the only copy of the user's key: keep it private");
    if user.grants.role() == Role::WorkerPython {
        printer.note(
            "a user who may call these agents can make them publish wherever this role may, shared values and the catalog included; \
             --kv '>:r' --files '>:r' takes values and files out of that",
        );
    }
    let permissions = Permissions::of(&user.name, &user.grants);
    if let Some(subject) = permissions.events_out_of_reach().first() {
        printer.note(format!(
            "the user cannot publish on {subject}: its --may-call has a wildcard, which excludes the events of all agents there; \
             name the agents that it calls one by one if it publishes events"
        ));
    }
    printer.hint_for_people(&format!("use them with: OAM_CREDS={}", shell::word(&path)));
    Ok(())
}
