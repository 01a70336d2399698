//! `oam auth`.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use openagentmesh_auth::{
    AgentPattern, AuthError, FilePattern, Granted, Grants, KeyPattern, Role, UserName,
};

use super::parse::duration;
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Make the keys of a mesh with users
    ///
    /// The keys sign for everything on the mesh: whoever has them has the mesh. Only you can read them; keep a backup.
    ///
    /// With --json: "directory".
    Init(AuthInit),
    /// Add, list, rotate and revoke users
    #[command(subcommand)]
    User(AuthUserCommand),
    /// Print who you are on the mesh: the user of the credentials, its role, and when they expire
    ///
    /// Connects with the credentials that commands here use, and asks the server.
    ///
    /// With --json: "url", "user" and "account" as the server knows them, and "creds", "name" and "expires_at", which are null if
    /// they are not known. With credentials of `oam auth`, also "role", "agents", "may_call", "kv" and "files".
    Whoami(AuthWhoami),
    /// Print the configuration of a nats-server that enforces the permissions
    ///
    /// A server starts with it as it is: oam auth server-conf > mesh.conf && nats-server --config mesh.conf. New users need no
    /// new configuration. After `oam auth user revoke` and `rotate`, print it again and reload the server with
    /// nats-server --signal reload. The configuration has no secret, unless --cluster makes the server one of a cluster: it has
    /// the password by which the servers know each other then.
    ///
    /// With --json: "configuration".
    ServerConf(AuthServerConf),
    /// Print what a user or a role may do, in words and in subjects
    ///
    /// Name a user of the store, or describe one with --role. --table prints the table of all roles in Markdown.
    ///
    /// With --json: "name", "role", and "rules", each with "effect" ("allow" or "deny"), "action" ("publish" or "subscribe"),
    /// "subject" and "purpose". With --table: "table".
    Explain(AuthExplain),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthUserCommand {
    /// Add a user and write its credentials file
    ///
    /// The name of the user is part of its subjects. The server accepts the user at once. The credentials file is the only copy of
    /// the user's key; `oam auth user rotate` makes another.
    ///
    /// With --json: "name", "role", "agents", "may_call", "kv", "files", "state", "issued_at", "expires_at" (null without an
    /// expiry) and "creds", the path of the file.
    Add(AuthUserAdd),
    /// List the users
    ///
    /// With --json: an array of objects with the members of `oam auth user add`, without "creds".
    #[command(visible_alias = "ls")]
    List(AuthUserList),
    /// Give a user a new key with the same permissions, and revoke the key before
    ///
    /// The new credentials are valid at once, those before until the server is reloaded. A mesh that `oam mesh up --auth` runs on
    /// this machine is reloaded by this command.
    ///
    /// With --json: the members of `oam auth user add`, and "reloaded", the URLs of the meshes.
    Rotate(AuthUserRotate),
    /// Revoke the credentials of a user
    ///
    /// A server refuses them, and ends their connections, once it is reloaded with the configuration of `oam auth server-conf`. A
    /// mesh that `oam mesh up --auth` runs on this machine is reloaded by this command.
    ///
    /// With --json: "revoked", the name, and "reloaded", the URLs of the meshes.
    Revoke(AuthUserRevoke),
}

/// The store of the keys.
#[derive(Debug, Args)]
pub(crate) struct AuthStore {
    /// Name of the mesh, whose keys are in ~/.agentmesh/auth/NAME
    #[arg(long, value_name = "NAME", default_value = DEFAULT_MESH, value_parser = mesh_name)]
    pub(crate) mesh: String,
    /// Directory with the keys, in place of --mesh
    #[arg(long, value_name = "DIR", conflicts_with = "mesh")]
    pub(crate) dir: Option<PathBuf>,
}

/// The name of the mesh if none is given.
pub(crate) const DEFAULT_MESH: &str = "default";

/// What a user may do.
#[derive(Debug, Args)]
pub(crate) struct AuthGrants {
    /// Agents that a worker serves, or an invoker calls: a name, a channel such as 'shop.>', or '>'; may be repeated
    #[arg(long = "agent", value_name = "AGENT")]
    pub(crate) agents: Vec<AgentPattern>,
    /// Agents that a worker calls; may be repeated [default: none]
    #[arg(long, value_name = "AGENT")]
    pub(crate) may_call: Vec<AgentPattern>,
    /// Shared values: '>:r' reads all; a key, a prefix such as 'limits.>', or '>' with :rw writes these and reads all; none for no
    /// access; may be repeated [default: '>:rw' for workers, '>:r' for others]
    #[arg(long, value_name = "KEY:ACCESS")]
    pub(crate) kv: Vec<Shared<KeyPattern>>,
    /// Shared files: '>:r' reads all; an exact name or '>' with :rw writes these and reads all; none for no access; may be repeated
    /// [default: as --kv]
    #[arg(long, value_name = "FILE:ACCESS")]
    pub(crate) files: Vec<Shared<FilePattern>>,
}

impl AuthGrants {
    /// What these options grant in `role`.
    ///
    /// # Errors
    ///
    /// If they do not fit the role.
    pub(crate) fn in_role(self, role: Role) -> Result<Grants, AuthError> {
        let mut builder = Grants::builder(role);
        for pattern in self.agents {
            builder = builder.agent(pattern);
        }
        for pattern in self.may_call {
            builder = builder.may_call(pattern);
        }
        if !self.kv.is_empty() {
            builder = builder.kv(granted(role, "--kv", self.kv)?);
        }
        if !self.files.is_empty() {
            builder = builder.files(granted(role, "--files", self.files)?);
        }
        builder.build()
    }
}

/// A pattern with the access to it, or no access at all.
#[derive(Debug, Clone)]
pub(crate) enum Shared<P> {
    None,
    Granted(Granted<P>),
}

impl<P> FromStr for Shared<P>
where
    P: FromStr<Err = AuthError> + Display,
{
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            text => text.parse().map(Self::Granted),
        }
    }
}

/// What all values of `option` grant together.
fn granted<P>(
    role: Role,
    option: &str,
    shared: Vec<Shared<P>>,
) -> Result<Vec<Granted<P>>, AuthError> {
    let count = shared.len();
    let shared = shared.into_iter().filter_map(|shared| match shared {
        Shared::None => None,
        Shared::Granted(granted) => Some(granted),
    });
    let granted: Vec<Granted<P>> = shared.collect();
    if !granted.is_empty() && granted.len() < count {
        return Err(AuthError::InvalidGrants {
            role: role.as_str(),
            problem: format!(
                "{option} none and other values of {option} contradict each other; leave one of them out"
            ),
        });
    }
    Ok(granted)
}

#[derive(Debug, Args)]
pub(crate) struct AuthInit {
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

#[derive(Debug, Args)]
pub(crate) struct AuthUserAdd {
    /// Name of the user: letters, digits, hyphens and underscores
    pub(crate) name: UserName,
    /// observer, invoker, worker, worker-python, monitor or operator
    #[arg(long)]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) grants: AuthGrants,
    /// Time after which the credentials are invalid, as in 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) expires: Option<Duration>,
    /// File for the credentials [default: NAME.creds in this directory]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

#[derive(Debug, Args)]
pub(crate) struct AuthUserList {
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

#[derive(Debug, Args)]
pub(crate) struct AuthUserRotate {
    /// Name of the user
    pub(crate) name: UserName,
    /// Time after which the new credentials are invalid [default: as long as those before]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) expires: Option<Duration>,
    /// File for the credentials, which is replaced [default: that of a user of `oam mesh up`, else NAME.creds in this directory]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

#[derive(Debug, Args)]
pub(crate) struct AuthUserRevoke {
    /// Name of the user
    pub(crate) name: UserName,
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

#[derive(Debug, Args)]
pub(crate) struct AuthWhoami {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct AuthServerConf {
    /// Port for clients; 0 lets the server choose
    #[arg(short, long, default_value_t = 4222)]
    pub(crate) port: u16,
    /// Address to listen on, as in 0.0.0.0 for all of this machine: every program that reaches it may try to log in
    #[arg(long, value_name = "ADDRESS", default_value = LOOPBACK)]
    pub(crate) listen: String,
    /// Certificate of the server, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Make the server one of this cluster, which has the same name on all of its servers
    #[arg(long, value_name = "NAME", requires_all = ["server_name", "routes"])]
    pub(crate) cluster: Option<String>,
    /// Name of the server, which differs from those of the other servers of the cluster and stays the same
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) server_name: Option<String>,
    /// Address to listen on for the other servers of the cluster [default: 127.0.0.1:6222]
    #[arg(long, value_name = "HOST:PORT", requires = "cluster")]
    pub(crate) cluster_listen: Option<String>,
    /// Address of another server of the cluster; may be repeated
    #[arg(long = "route", value_name = "HOST:PORT", requires = "cluster")]
    pub(crate) routes: Vec<String>,
    /// Certificate of the authority for the connections between the servers, in PEM [default: those of this machine]
    #[arg(long, value_name = "FILE", requires_all = ["cluster", "tls_cert"])]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Directory for the data of the server [default: jetstream in the directory of the keys]
    #[arg(long, value_name = "DIR")]
    pub(crate) store_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

/// The address of the loopback interface.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

#[derive(Debug, Args)]
pub(crate) struct AuthExplain {
    /// Name of a user
    #[arg(required_unless_present_any = ["role", "table"])]
    pub(crate) name: Option<UserName>,
    /// Explain this role, for a user as `oam auth user add` would make it
    #[arg(long, conflicts_with_all = ["name", "table"])]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) grants: AuthGrants,
    /// Print the table of all roles in Markdown
    #[arg(long, conflicts_with = "name")]
    pub(crate) table: bool,
    #[command(flatten)]
    pub(crate) store: AuthStore,
}

/// The name of a directory.
pub(super) fn mesh_name(text: &str) -> Result<String, String> {
    match text.parse::<UserName>() {
        Ok(name) => Ok(name.to_string()),
        Err(_) => Err("only letters, digits, - and _ are allowed, 1 to 48 of them".to_owned()),
    }
}
