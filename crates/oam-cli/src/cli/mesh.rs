//! `oam mesh`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::auth::{DEFAULT_MESH, mesh_name};
use super::header::{Header, header};
use super::parse::{count, duration};
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum MeshCommand {
    /// Start a mesh on this machine
    ///
    /// Runs a nats-server in the background and writes .oam-url into this directory, so that
    /// programs and commands started here or below find the mesh. A missing nats-server is
    /// installed into ~/.agentmesh/bin. `oam mesh down` deletes everything the mesh stores, unless
    /// --data keeps it in a directory.
    ///
    /// With --json: the URL, the directory of the start, the process ids, the data directory (null
    /// without one), the logs, the WebSocket URL (null without one) and its origins, whether the
    /// mesh runs in the foreground, and with --auth the directory of the keys and the credentials files.
    Up(MeshUp),
    /// Stop the mesh that `oam mesh up` started in this directory or above it
    ///
    /// If .oam-url names a mesh that was started elsewhere, the file is removed and that mesh keeps
    /// running. Data that --data kept stays where it is, unless --purge deletes it.
    ///
    /// With --json: "stopped" has each mesh that was stopped with its URL, the directory of its start,
    /// the directory in which its data is kept (null without one) and what was deleted with it (null if
    /// nothing was deleted, or not counted); "removed" has the .oam-url files that were removed, "purged"
    /// the directories whose data was deleted, and "kept" those whose data is still there.
    Down(MeshDown),
    /// List the meshes that `oam mesh up` runs on this machine
    ///
    /// The one that commands in this directory use is marked with *.
    ///
    /// With --json, an array: the URL, the directory of the start, the time, the data directory (null if
    /// the data is deleted with the mesh), the process ids, the version of nats-server, the logs, and
    /// whether the mesh runs in the foreground and is selected.
    #[command(alias = "ls")]
    List(MeshList),
    /// Print the log of the nats-server of a mesh that `oam mesh up` runs on this machine
    ///
    /// Times are in UTC. For a cluster, the lines of all servers in the order of their times, each after
    /// the port of its server. Agents log to their own output; events that hosts of other SDKs publish
    /// arrive with `oam mesh listen 'mesh.logs.>'`.
    ///
    /// With --json, each line is an object: the server's URL, the time, the level ("info", "warn",
    /// "error", "fatal", "debug", "trace") and the message. Time and level are null for a line without
    /// them.
    Logs(MeshLogs),
    /// Create the buckets of a mesh, and set the number of their replicas
    ///
    /// For servers that `oam mesh up` did not start. A bucket of a cluster has three replicas, unless
    /// --replicas or OAM_REPLICAS says otherwise. Existing buckets are changed, their content is kept. With
    /// the credentials of an operator of `oam auth`, no message may replace the keys of others afterwards.
    Init(MeshInit),
    /// Select the mesh for commands and programs in this directory
    ///
    /// Checks that the mesh answers and writes .oam-url into this directory. Programs and commands
    /// started here or below find the mesh.
    ///
    /// With --json: the URL without its login, the file that names it, the credentials file in it
    /// (null without one), and the URL that the file named before (null without one).
    Connect(MeshConnect),
    /// Print the state of the mesh: server, storage, monitor, processes and catalog
    ///
    /// Everything is read from the server. A part that this user may not read says so. A process of
    /// another SDK may serve agents without an instance record; its agents are listed with whether a
    /// connection subscribes to their requests.
    ///
    /// The exit code is 0 also with warnings and parts that are not readable. It is 1 when the mesh
    /// is not reachable or a part of it does not work: no JetStream, a bucket without a leader, a
    /// malformed catalog.
    ///
    /// With --json, a part that cannot be read is null, and "unreadable" has the reason. "errors" and
    /// "warnings" have the texts that are printed to stderr otherwise.
    /// "selection" has the source of the URL ("option", "context", "oam_url", "oam_context", "file",
    /// "selected_context" or "default"), the context or the file that names it, and the credentials file; "local" has the directory of the start, the process ids, the
    /// logs and the data of a mesh that `oam mesh up` runs on this machine, and is null for others.
    Status(MeshStatus),
    /// Run a monitor of the mesh, and print the deaths of processes
    ///
    /// The monitor finds processes that have died, fails their callers and removes their entries. Each
    /// process that serves agents runs one already, and one of all monitors is active. The command is
    /// for hosts that may not run one, and for servers that do not report disconnects to the mesh:
    /// with --sys-url or --sys-creds it also connects as a user of the system account, and the whole mesh
    /// learns of each disconnect within milliseconds. Without them, a frozen or dead process is found by its lease.
    ///
    /// Ctrl-C or SIGTERM ends the command and returns its role; another monitor takes over within seconds.
    ///
    /// With --json, each event is an object on one line: "event" is "active", "standby", "instance_down"
    /// or "agent_removed". "confirmed" is false when another monitor has announced the death: any client
    /// can publish such a notice.
    Monitor(MeshMonitor),
    /// List the agents on the mesh, or watch the changes
    ///
    /// With --json, an array of the entries of the catalog.
    #[command(alias = "agents")]
    Catalog(MeshCatalog),
    /// Repair a catalog that another program has overwritten
    ///
    /// Replaces a stored catalog that is malformed, or that ends the connections of its readers. A
    /// valid catalog is left as it is. Hosts repair the catalog on their own; the command is for a
    /// mesh without such a host. Agents that are missing afterwards are listed when their hosts
    /// start again.
    ///
    /// With --json: whether the catalog was repaired, its problem if it was malformed, and the number of
    /// its agents.
    Repair(MeshRepair),
    /// Print the messages on a subject as they arrive
    ///
    /// All traffic on the mesh is messages: requests are on mesh.agent.NAME, events on
    /// mesh.agent.NAME.events, streamed replies on mesh.stream.ID, errors on mesh.errors.NAME.
    /// Ctrl-C ends the command.
    ///
    /// Each line has the time of arrival, the start of the request id, the subject and the body.
    /// A reply goes to an inbox of its caller and is not among the messages of its agent.
    ///
    /// With --json, each message is an object on one line: the time, the subject, "request_id" and
    /// "reply" (if set), the headers (an object; a repeated header is an array) and the body: the value
    /// if it is JSON, else the text. A body that is not UTF-8 is base64, marked by "encoding": "base64".
    Listen(MeshListen),
    /// Publish a message on a subject
    ///
    /// For subjects of programs, such as orders.new. The message is not stored, and subscribers are not required.
    /// The command ends once the server has the message.
    ///
    /// With --json, an object with "subject" and "bytes".
    Publish(MeshPublish),
}

#[derive(Debug, Args)]
pub(crate) struct MeshUp {
    /// Port to listen on, on loopback; 0 lets the server choose
    #[arg(short, long, default_value_t = 4222)]
    pub(crate) port: u16,
    /// Stay in this terminal until Ctrl-C
    #[arg(short, long)]
    pub(crate) foreground: bool,
    /// Also open a WebSocket port for web pages of this origin, as in http://localhost:3000
    ///
    /// May be repeated. The port is the one after --port, on loopback. Pages of other origins are
    /// refused. A page that connects can use the whole mesh. Without this option there is no
    /// WebSocket port.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) websocket: Vec<String>,
    /// Start a JetStream cluster of this many servers, 3 to 9, for development and tests
    ///
    /// The servers listen on --port and the ports after it. The buckets have three replicas. .oam-url
    /// has the URLs of all servers with commas between them, so that a client finds one that runs.
    #[arg(long, value_name = "NODES", conflicts_with = "websocket")]
    pub(crate) cluster: Option<usize>,
    /// Keep everything the mesh stores in this directory, which is made if it does not exist
    ///
    /// `oam mesh down` leaves the data there, and the next `oam mesh up --data DIR` serves it again.
    /// One mesh at a time uses a directory. A directory with other files is refused. A cluster's data
    /// is served by a cluster of as many servers.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Admit only the users of `oam auth`, each with the permissions of its role
    ///
    /// The keys are in ~/.agentmesh/auth/default, or in the directory of the mesh NAME, and are made if there are none. The users
    /// local-operator, local-monitor and local-invoker are made, too, with their credentials in creds below it. .oam-url names
    /// those of local-invoker: programs and commands here call agents and read, so that a program which needs more shows it here
    /// and not on the company's mesh. Workers get their own with `oam auth user add`. A monitor, which lists the agents of workers,
    /// is started, and ends with the mesh.
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_MESH,
        value_parser = mesh_name
    )]
    pub(crate) auth: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshDown {
    /// Stop the mesh that .oam-url names, wherever `oam mesh up` started it
    #[arg(long)]
    pub(crate) force: bool,
    /// Also delete the data that `oam mesh up --data` keeps for this directory
    ///
    /// Only the files of the mesh are deleted; other files in the data directory stay. No mesh need
    /// be running.
    #[arg(long)]
    pub(crate) purge: bool,
    /// The directory whose data --purge deletes [default: the only one that is kept for this directory]
    #[arg(long, value_name = "DIR", requires = "purge")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshList {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct MeshLogs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print new lines as they arrive, until Ctrl-C or the end of the mesh
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print the last LINES lines only [default: all]
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) lines: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshInit {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Number of servers that hold each bucket, 1 to 5
    #[arg(long, value_name = "N")]
    pub(crate) replicas: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshConnect {
    /// URL of the mesh, such as nats://127.0.0.1:4222
    #[arg(value_name = "URL")]
    pub(crate) address: String,
    /// The credentials file, which .oam-url then names too.
    #[arg(from_global)]
    pub(crate) creds: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshStatus {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct MeshMonitor {
    #[command(flatten)]
    pub(crate) target: Target,
    /// NATS credentials file of a user of the system account
    #[arg(long, value_name = "FILE")]
    pub(crate) sys_creds: Option<PathBuf>,
    /// URL for the connection of the system account, which may have a login [default: the URL of the mesh]
    #[arg(long, value_name = "URL")]
    pub(crate) sys_url: Option<String>,
    /// End when this directory is gone: that of the server for which `oam mesh up` has started the monitor.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) while_exists: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshListen {
    /// Subject; `*` matches one segment, `>` all that follow (quote them in the shell)
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Time to wait for each message [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Print the headers of each message below it; JSON always has them
    #[arg(long)]
    pub(crate) headers: bool,
    /// End after this many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(crate) count: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshPublish {
    /// Subject, such as orders.new
    pub(crate) subject: String,
    /// Message: JSON, @FILE, or - for stdin, which is also read if the message is absent
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Add a header to the message; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<Header>,
    /// Publish the bytes unchanged: they need not be JSON
    #[arg(long)]
    pub(crate) raw: bool,
    /// Time that the command may take, reading stdin included
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct MeshRepair {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct MeshCatalog {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only agents of this channel (the name starts with it)
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// Only agents with this tag; may be repeated
    #[arg(long = "tag")]
    pub(crate) tags: Vec<String>,
    /// Only agents that stream or publish; with `=false`, only the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) streaming: Option<bool>,
    /// Only agents that answer requests; with `=false`, only the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) invocable: Option<bool>,
    /// Print each agent on one short line, for a language model to choose from
    #[arg(long)]
    pub(crate) compact: bool,
    /// Print the current agents, then each that is added (+), changed (~) or removed (-)
    ///
    /// Ctrl-C ends the command. With --json, each change is a JSON object on one line: "change" is
    /// "added", "changed" or "removed", and "agent" is the catalog entry.
    #[arg(long)]
    pub(crate) watch: bool,
    /// End after this many lines (with --watch)
    #[arg(short = 'n', long, value_name = "N", value_parser = count, requires = "watch")]
    pub(crate) count: Option<usize>,
}
