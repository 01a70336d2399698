//! The permissions of each role as a table: every row is an operation that a server allows or denies.
//!
//! The table is made of the rules themselves. The tests try every cell against a real server.

use std::fmt::Write as _;

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

use Action::{Publish, Subscribe};

/// The operations, below the titles of their topics.
const ROWS: &[(&str, Action, &str)] = &[
    ("Identity and replies", Publish, ""),
    ("ask the server who it is", Publish, "$SYS.REQ.USER.INFO"),
    ("receive its own replies", Subscribe, "_INBOX.{ada}.>"),
    (
        "receive the replies of another user",
        Subscribe,
        "_INBOX.bob.>",
    ),
    ("receive all replies", Subscribe, "_INBOX.>"),
    (
        "receive replies by a guessed inbox",
        Subscribe,
        "_INBOX.*.>",
    ),
    ("receive its own streams", Subscribe, "mesh.stream.{ada}.>"),
    (
        "receive the streams of another user",
        Subscribe,
        "mesh.stream.bob.>",
    ),
    ("receive all streams", Subscribe, "mesh.stream.>"),
    (
        "receive the results of its own sends",
        Subscribe,
        "mesh.results.{ada}.>",
    ),
    (
        "receive the results of another user's sends",
        Subscribe,
        "mesh.results.bob.>",
    ),
    ("answer or credit", Publish, "_INBOX.bob.x.1"),
    (
        "publish a chunk of a stream",
        Publish,
        "mesh.stream.bob.x.1",
    ),
    (
        "publish the result of a send",
        Publish,
        "mesh.results.bob.x.1",
    ),
    ("see everything", Subscribe, ">"),
    ("see all of the mesh", Subscribe, "mesh.>"),
    //
    ("Agents", Publish, ""),
    ("call the agent shop.price", Publish, "mesh.agent.{agent}"),
    (
        "call it at one instance",
        Publish,
        "mesh.instance.bob.x.request.{agent}",
    ),
    ("call the agent bank.pay", Publish, "mesh.agent.bank.pay"),
    (
        "call it at one instance",
        Publish,
        "mesh.instance.bob.x.request.bank.pay",
    ),
    (
        "receive requests to shop.price",
        Subscribe,
        "mesh.agent.{agent}",
    ),
    (
        "receive requests to bank.pay",
        Subscribe,
        "mesh.agent.bank.pay",
    ),
    ("receive requests to all agents", Subscribe, "mesh.agent.>"),
    (
        "receive requests to a channel",
        Subscribe,
        "mesh.agent.shop.*",
    ),
    (
        "receive requests to shop.price at its own process",
        Subscribe,
        "mesh.instance.{instance}.request.{agent}",
    ),
    (
        "receive requests to bank.pay at its own process",
        Subscribe,
        "mesh.instance.{instance}.request.bank.pay",
    ),
    (
        "receive all requests to its own process",
        Subscribe,
        "mesh.instance.{instance}.request.>",
    ),
    (
        "receive requests to another process",
        Subscribe,
        "mesh.instance.bob.x.request.>",
    ),
    (
        "receive events of shop.price",
        Subscribe,
        "mesh.agent.{agent}.events",
    ),
    (
        "receive events of bank.pay",
        Subscribe,
        "mesh.agent.bank.pay.events",
    ),
    (
        "publish events of shop.price",
        Publish,
        "mesh.agent.{agent}.events",
    ),
    (
        "publish events of bank.pay",
        Publish,
        "mesh.agent.bank.pay.events",
    ),
    //
    ("Catalog, contracts, processes", Publish, ""),
    (
        "read the catalog",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-catalog",
    ),
    ("follow the catalog", Subscribe, "$KV.mesh-catalog.>"),
    ("write the catalog", Publish, "$KV.mesh-catalog.catalog"),
    (
        "read contracts",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-registry",
    ),
    ("follow contracts", Subscribe, "$KV.mesh-registry.>"),
    (
        "write the contract of shop.price",
        Publish,
        "$KV.mesh-registry.{agent}",
    ),
    (
        "write the contract of bank.pay",
        Publish,
        "$KV.mesh-registry.bank.pay",
    ),
    (
        "read the records of processes",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-instances",
    ),
    (
        "follow the records of processes",
        Subscribe,
        "$KV.mesh-instances.>",
    ),
    (
        "write its own record",
        Publish,
        "$KV.mesh-instances.{instance}",
    ),
    (
        "write the record of another user's process",
        Publish,
        "$KV.mesh-instances.bob.x",
    ),
    (
        "read the lease of the monitor",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-leases",
    ),
    (
        "take the lease of the monitor",
        Publish,
        "$KV.mesh-leases.monitor",
    ),
    //
    ("Logs, errors, deaths", Publish, ""),
    ("follow logs", Subscribe, "mesh.logs.>"),
    ("log for shop.price", Publish, "mesh.logs.{agent}"),
    ("log for bank.pay", Publish, "mesh.logs.bank.pay"),
    (
        "read the log levels",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-observability",
    ),
    ("set a log level", Publish, "$KV.mesh-observability.global"),
    ("follow errors", Subscribe, "mesh.errors.>"),
    (
        "report an error of shop.price",
        Publish,
        "mesh.errors.{agent}",
    ),
    (
        "report an error of bank.pay",
        Publish,
        "mesh.errors.bank.pay",
    ),
    ("learn of the deaths of agents", Subscribe, "mesh.death.>"),
    (
        "announce the death of shop.price",
        Publish,
        "mesh.death.{agent}",
    ),
    (
        "announce the death of bank.pay",
        Publish,
        "mesh.death.bank.pay",
    ),
    (
        "learn that a process is down",
        Subscribe,
        "mesh.instance.*.*.down",
    ),
    (
        "announce that a process is down",
        Publish,
        "mesh.instance.bob.x.down",
    ),
    ("learn of disconnects", Subscribe, "mesh.sys.disconnect"),
    ("announce a disconnect", Publish, "mesh.sys.disconnect"),
    (
        "list the connections",
        Publish,
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
    ),
    ("administer the server", Publish, "$SYS.REQ.SERVER.PING"),
    ("learn of the account's events", Subscribe, "$SYS.>"),
    //
    ("Shared values and files", Publish, ""),
    (
        "read values",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-context",
    ),
    (
        "get a value directly",
        Publish,
        "$JS.API.DIRECT.GET.KV_mesh-context.$KV.mesh-context.a",
    ),
    ("follow values", Subscribe, "$KV.mesh-context.>"),
    ("write a value", Publish, "$KV.mesh-context.a"),
    (
        "read files",
        Publish,
        "$JS.API.STREAM.MSG.GET.OBJ_mesh-artifacts",
    ),
    (
        "get files directly",
        Publish,
        "$JS.API.DIRECT.GET.OBJ_mesh-artifacts",
    ),
    ("follow files", Subscribe, "$O.mesh-artifacts.M.>"),
    ("write a file", Publish, "$O.mesh-artifacts.M.YQ=="),
    (
        "write the chunks of a file",
        Publish,
        "$O.mesh-artifacts.C.x",
    ),
    //
    ("Storage and detours", Publish, ""),
    (
        "see the state of a bucket",
        Publish,
        "$JS.API.STREAM.INFO.KV_mesh-catalog",
    ),
    (
        "see the state of any stream",
        Publish,
        "$JS.API.STREAM.INFO.other",
    ),
    ("see the account", Publish, "$JS.API.INFO"),
    ("list streams", Publish, "$JS.API.STREAM.LIST"),
    ("name streams", Publish, "$JS.API.STREAM.NAMES"),
    ("read any stream", Publish, "$JS.API.STREAM.MSG.GET.other"),
    (
        "read the catalog directly",
        Publish,
        "$JS.API.DIRECT.GET.KV_mesh-catalog",
    ),
    (
        "create a stream, as a mirror, or one that republishes",
        Publish,
        "$JS.API.STREAM.CREATE.mirror",
    ),
    (
        "change a bucket, as to republish",
        Publish,
        "$JS.API.STREAM.UPDATE.KV_mesh-context",
    ),
    (
        "purge a bucket",
        Publish,
        "$JS.API.STREAM.PURGE.KV_mesh-catalog",
    ),
    (
        "delete a bucket",
        Publish,
        "$JS.API.STREAM.DELETE.KV_mesh-instances",
    ),
    (
        "delete a stored message",
        Publish,
        "$JS.API.STREAM.MSG.DELETE.KV_mesh-catalog",
    ),
    ("restore a stream", Publish, "$JS.API.STREAM.RESTORE.other"),
    (
        "take a snapshot of a bucket",
        Publish,
        "$JS.API.STREAM.SNAPSHOT.KV_mesh-context",
    ),
    (
        "create a consumer of a bucket, as a push consumer",
        Publish,
        "$JS.API.CONSUMER.CREATE.KV_mesh-catalog",
    ),
    (
        "create a named consumer of a bucket",
        Publish,
        "$JS.API.CONSUMER.CREATE.KV_mesh-catalog.c.$KV.mesh-catalog.>",
    ),
    (
        "create a durable consumer of a bucket",
        Publish,
        "$JS.API.CONSUMER.DURABLE.CREATE.KV_mesh-catalog.c",
    ),
    (
        "create a consumer of another stream",
        Publish,
        "$JS.API.CONSUMER.CREATE.other",
    ),
    (
        "pull from a consumer",
        Publish,
        "$JS.API.CONSUMER.MSG.NEXT.KV_mesh-catalog.c",
    ),
    (
        "acknowledge messages of a consumer",
        Publish,
        "$JS.ACK.KV_mesh-catalog.c.1.1.1.1.1",
    ),
    ("answer as a service", Subscribe, "$SRV.PING"),
    ("ask all services", Publish, "$SRV.INFO"),
    ("use a subject of another program", Publish, "orders.new"),
];
