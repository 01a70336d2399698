//! Arguments of the command line, one file per command group.

mod agent;
mod auth;
mod completions;
mod conform;
mod context;
mod examples;
mod global;
mod header;
mod itself;
mod kv;
mod man;
mod mesh;
mod parse;
mod target;
mod tools;
mod version;
mod workspace;

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::agent::{
    AgentCall, AgentCommand, AgentContract, AgentRequest, AgentSend, AgentStream, AgentSubscribe,
    ContractFormat,
};
pub(crate) use self::auth::{
    AuthCommand, AuthExplain, AuthInit, AuthServerConf, AuthStore, AuthUserAdd, AuthUserCommand,
    AuthUserList, AuthUserRevoke, AuthUserRotate, AuthWhoami, LOOPBACK,
};
pub(crate) use self::completions::{Completions, Shell};
pub(crate) use self::conform::{ConformCaller, ConformCommand, ConformHost, ConformReport};
pub(crate) use self::context::{
    ContextAdd, ContextCommand, ContextRemove, ContextShow, ContextUse,
};
pub(crate) use self::global::{Global, Output};
pub(crate) use self::header::Header;
pub(crate) use self::itself::{SelfCommand, SelfUninstall};
pub(crate) use self::kv::{
    KvCommand, KvDelete, KvGet, KvHistory, KvList, KvUpdate, KvValue, KvWatch, KvWrite,
};
pub(crate) use self::man::Man;
pub(crate) use self::mesh::{
    MeshCatalog, MeshCommand, MeshConnect, MeshDown, MeshInit, MeshList, MeshListen, MeshLogs,
    MeshMonitor, MeshPublish, MeshRepair, MeshStatus, MeshUp,
};
pub(crate) use self::target::Target;
pub(crate) use self::tools::{Tools, ToolsFormat};
pub(crate) use self::version::Version;
pub(crate) use self::workspace::{
    WorkspaceCommand, WorkspaceDelete, WorkspaceGet, WorkspaceInfo, WorkspaceList, WorkspacePut,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Agents, tools and scripts that find and call each other as if they ran in one process.
#[derive(Debug, Parser)]
#[command(name = "oam", version, styles = STYLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The name by which the program was started.
    #[arg(skip)]
    pub(crate) program: String,
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses arguments, of which the first is the name of the program.
    ///
    /// # Errors
    ///
    /// The help, the version, or the error of an invalid argument.
    pub(crate) fn parse_arguments(mut arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let program = arguments.first().map_or_else(
            || "oam".to_owned(),
            |program| program.to_string_lossy().into_owned(),
        );
        if group(&arguments).is_some_and(|group| group == "agent" || group == "mesh") {
            arguments.iter_mut().for_each(mark_as_value);
        }
        let matches = Self::definitions().try_get_matches_from(arguments)?;
        let cli = Self::from_arg_matches(&matches)?;
        cli.check_target()?;
        Ok(Self { program, ..cli })
    }

    /// The definitions of all commands, with their examples.
    pub(crate) fn definitions() -> clap::Command {
        examples::with_examples(Self::command())
    }

    /// Refuses options of the mesh at a command that does not read them.
    fn check_target(&self) -> Result<(), clap::Error> {
        let (takes_mesh, takes_creds) = match &self.command {
            Command::Demo
            | Command::Mesh(MeshCommand::Up(_) | MeshCommand::Down(_))
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Itself(_) => (false, false),
            Command::Auth(AuthCommand::Whoami(_)) => (true, true),
            Command::Auth(_) => (false, false),
            Command::Version(version) if version.client => (false, false),
            Command::Context(ContextCommand::Show(show)) => {
                let takes = show.name.is_none();
                (takes, takes)
            }
            Command::Mesh(MeshCommand::Connect(_)) | Command::Context(ContextCommand::Add(_)) => {
                (false, true)
            }
            Command::Context(_) => (false, false),
            _ => (true, true),
        };
        let given = [
            ("--url", self.global.url.is_some() && !takes_mesh),
            ("--context", self.global.context.is_some() && !takes_mesh),
            ("--creds", self.global.creds.is_some() && !takes_creds),
        ];
        match given.iter().find(|(_, is_refused)| *is_refused) {
            None => Ok(()),
            Some((option, _)) => Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                format!("{option} has no meaning for this command"),
            )),
        }
    }
}

/// The form of the output that the arguments ask for, for errors of arguments that cannot be parsed.
pub(crate) fn requested_output(arguments: &[OsString]) -> Output {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    Output {
        json: options.any(|argument| argument == "--json"),
        ..Output::default()
    }
}

/// The first word that is neither an option nor the value of one.
fn group(arguments: &[OsString]) -> Option<&OsString> {
    const WITH_VALUES: [&str; 3] = ["--url", "--creds", "--context"];

    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        if WITH_VALUES.iter().any(|option| word == option) {
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return Some(word);
        }
    }
    None
}

/// clap takes a number with a signed exponent, such as `-1e-5`, for an option. With a space before it,
/// which JSON ignores, the number is a value.
fn mark_as_value(argument: &mut OsString) {
    if let Some(text) = argument.to_str()
        && text.starts_with('-')
        && text.contains(['e', 'E'])
        && text.parse::<f64>().is_ok()
    {
        *argument = format!(" {text}").into();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a mesh with sample agents and call them
    Demo,
    /// Start, stop, connect to and inspect a mesh
    #[command(subcommand)]
    Mesh(MeshCommand),
    /// Name meshes and their credentials, and select one of them
    #[command(subcommand)]
    Context(ContextCommand),
    /// Make the users of a mesh, each with the permissions of a role
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Inspect and call one agent
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Print the agents of the mesh as tools for a language model
    ///
    /// The document is one JSON object. "tools" is the list for the provider, and "agents" has the
    /// name of the agent for each name of a tool. "skipped" has the agents that cannot be tools,
    /// and with --strict "not_strict" those whose tools are not strict, each with the reason.
    Tools(Tools),
    /// Check another implementation against the rules of the protocol
    #[command(subcommand)]
    Conform(ConformCommand),
    /// Read, write and watch the shared values of the mesh
    #[command(subcommand)]
    Kv(KvCommand),
    /// Put, get and list the shared files of the mesh
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// Print the script that completes commands in a shell: agents, keys and files too
    ///
    /// The script starts `oam` on each Tab. The names come from the mesh that the line selects, with its
    /// options. If that mesh does not answer within 120 ms, commands and options are completed alone.
    ///
    /// With --json, prints one object with "shell" and "script".
    Completions(Completions),
    /// Print the manual page of `oam`, or write the pages of all commands into a directory
    ///
    /// With --json, prints one object: "page", or "directory" and "pages" with their file names.
    Man(Man),
    /// Print the versions of oam, of the protocol, and of the server
    ///
    /// A mesh that is not reachable is not an error. --version prints the version of oam alone.
    ///
    /// With --json, prints one object. "oam" and "sdk" are versions of this project; "protocol" is the
    /// version of the Python SDK whose messages are spoken. "nats_server" has the version that
    /// `oam mesh up` installs ("installs"), and the one that it finds ("found", with "version" and
    /// "path", or null). "mesh" has "url" and "server_version" of a mesh that answers, else
    /// "problem"; the others are null. It is null with --client.
    Version(Version),
    /// Uninstall oam
    #[command(subcommand, name = "self")]
    Itself(SelfCommand),
}

#[cfg(test)]
mod tests {
    #[test]
    fn group_is_found_after_options() {
        for (line, expected) in [
            ("oam agent call a", Some("agent")),
            ("oam --json -q --url agent kv put agent -1e5", Some("kv")),
            ("oam --url=x mesh publish a", Some("mesh")),
            ("oam --json", None),
        ] {
            let arguments: Vec<_> = line.split(' ').map(Into::into).collect();
            let group = super::group(&arguments);
            assert_eq!(group.map(|group| group.to_str().unwrap()), expected);
        }
    }

    #[test]
    fn argument_definitions_are_consistent() {
        super::Cli::definitions().debug_assert();
    }
}
