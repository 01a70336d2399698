//! The permissions of each role as a table: every row is an operation that a server allows or denies.
//!
//! The table is made of the rules themselves. The tests try every cell against a real server.

use std::fmt::Write as _;

use super::operations::ROWS;
use super::rules::{Action, Permissions};
use crate::{AuthError, Grants, Role, UserName};

/// The user of the table, as in `_INBOX.ada.>`.
const USER: &str = "ada";

/// The agent that the users of the table serve or call.
const AGENT: &str = "shop.price";

/// An id of an instance of the user.
const INSTANCE: &str = "ada.0123456789abcdef0123456789abcdef";

/// An operation on a mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The topic of the operation: rows of one topic follow each other.
    pub topic: &'static str,
    /// The operation in words.
    pub what: &'static str,
    /// The operation on the subject.
    pub action: Action,
    /// The subject.
    pub subject: String,
}

/// A column of the table: the user `ada` in one role.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Column {
    /// The title.
    pub title: &'static str,
    /// All that was granted to the user.
    pub grants: Grants,
    /// The permissions of the user.
    pub permissions: Permissions,
}

/// The name of the user in all columns.
///
/// # Errors
///
/// None: the name is valid.
pub fn user() -> Result<UserName, AuthError> {
    USER.parse()
}

/// The columns: user `ada` in each role, as a worker of `shop.price` and once as one that may call `bank.pay`, and as an
/// invoker of `shop.price`.
///
/// # Errors
///
/// None: the grants are valid.
pub fn columns() -> Result<Vec<Column>, AuthError> {
    let user = user()?;
    let agent = || AGENT.parse();
    let grants = [
        ("observer", Grants::builder(Role::Observer)),
        ("invoker", Grants::builder(Role::Invoker).agent(agent()?)),
        ("worker", Grants::builder(Role::Worker).agent(agent()?)),
        (
            "worker, may call",
            Grants::builder(Role::Worker)
                .agent(agent()?)
                .may_call("bank.pay".parse()?),
        ),
        (
            "worker-python",
            Grants::builder(Role::WorkerPython).agent(agent()?),
        ),
        ("monitor", Grants::builder(Role::Monitor)),
        ("operator", Grants::builder(Role::Operator)),
    ];
    let columns = grants.into_iter().map(|(title, grants)| {
        let grants = grants.build()?;
        Ok(Column {
            title,
            permissions: Permissions::of(&user, &grants),
            grants,
        })
    });
    columns.collect()
}

/// The operations of the table: all that the roles are about, and the detours to what a role lacks.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut rows = Vec::new();
    let mut topic = "";
    for (what, action, subject) in ROWS {
        if subject.is_empty() {
            topic = what;
            continue;
        }
        let subject = subject
            .replace("{ada}", USER)
            .replace("{instance}", INSTANCE)
            .replace("{agent}", AGENT);
        rows.push(Operation {
            topic,
            what,
            action: *action,
            subject,
        });
    }
    rows
}

/// The table in Markdown.
///
/// # Errors
///
/// None: the grants of the columns are valid.
///
/// ```
/// let table = openagentmesh_auth::table::markdown()?;
/// assert!(table.contains("| operator |"));
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
pub fn markdown() -> Result<String, AuthError> {
    let columns = columns()?;
    let mut text = String::new();
    let mut topic = "";
    for row in operations() {
        if row.topic != topic {
            let separator = if topic.is_empty() { "" } else { "\n" };
            topic = row.topic;
            let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{separator}**{topic}**\n\n| operation | subject | {} |\n|---|---|{}",
                titles.join(" | "),
                "---|".repeat(titles.len())
            );
        }
        let cells = columns.iter().map(|column| {
            match column.permissions.allows(row.action, &row.subject) {
                true => " yes |",
                false => " – |",
            }
        });
        let _ = writeln!(
            text,
            "| {} | {} `{}` |{}",
            row.what,
            row.action.as_str(),
            row.subject,
            cells.collect::<String>()
        );
    }
    Ok(text)
}
