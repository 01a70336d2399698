//! One file per command, and the dispatch from the arguments to them.

mod agent;
mod auth;
mod completions;
mod conform;
mod context;
mod demo;
mod itself;
mod kv;
mod man;
mod mesh;
mod tools;
mod version;
mod workspace;

use crate::cli::{
    AgentCommand, AuthCommand, AuthUserCommand, Cli, Command, ConformCommand, ContextCommand,
    KvCommand, MeshCommand, SelfCommand, WorkspaceCommand,
};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(cli: Cli, printer: &Printer) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Demo => demo::run(&cli.program, printer).await?,
        Command::Mesh(command) => match command {
            MeshCommand::Up(arguments) => mesh::up::run(arguments, &cli.program, printer).await?,
            MeshCommand::Init(arguments) => mesh::init::run(arguments, printer).await?,
            MeshCommand::Down(arguments) => mesh::down::run(arguments, printer).await?,
            MeshCommand::List(arguments) => mesh::list::run(arguments, printer).await?,
            MeshCommand::Logs(arguments) => return mesh::logs::run(arguments, printer).await,
            MeshCommand::Connect(arguments) => mesh::connect::run(arguments, printer).await?,
            MeshCommand::Status(arguments) => return mesh::status::run(arguments, printer).await,
            MeshCommand::Monitor(arguments) => mesh::monitor::run(arguments, printer).await?,
            MeshCommand::Catalog(arguments) => return mesh::catalog::run(arguments, printer).await,
            MeshCommand::Repair(arguments) => mesh::repair::run(arguments, printer).await?,
            MeshCommand::Listen(arguments) => return mesh::listen::run(arguments, printer).await,
            MeshCommand::Publish(arguments) => return mesh::publish::run(arguments, printer).await,
        },
        Command::Context(command) => match command {
            ContextCommand::Add(arguments) => context::add::run(arguments, printer).await?,
            ContextCommand::Use(arguments) => context::select::run(arguments, printer).await?,
            ContextCommand::List => context::list::run(printer)?,
            ContextCommand::Show(arguments) => context::show::run(arguments, printer)?,
            ContextCommand::Remove(arguments) => context::remove::run(arguments, printer).await?,
        },
        Command::Auth(command) => match command {
            AuthCommand::Init(arguments) => auth::init::run(&arguments, printer)?,
            AuthCommand::User(command) => match command {
                AuthUserCommand::Add(arguments) => auth::user::add::run(arguments, printer)?,
                AuthUserCommand::List(arguments) => auth::user::list::run(&arguments, printer)?,
                AuthUserCommand::Rotate(arguments) => {
                    auth::user::rotate::run(arguments, printer).await?;
                }
                AuthUserCommand::Revoke(arguments) => {
                    auth::user::revoke::run(arguments, printer).await?;
                }
            },
            AuthCommand::Whoami(arguments) => auth::whoami::run(arguments, printer).await?,
            AuthCommand::ServerConf(arguments) => auth::server_conf::run(arguments, printer)?,
            AuthCommand::Explain(arguments) => auth::explain::run(arguments, printer)?,
        },
        Command::Agent(command) => match command {
            AgentCommand::List(arguments) => return mesh::catalog::run(arguments, printer).await,
            AgentCommand::Contract(arguments) => agent::contract::run(arguments, printer).await?,
            AgentCommand::Call(arguments) => return agent::call::run(arguments, printer).await,
            AgentCommand::Stream(arguments) => return agent::stream::run(arguments, printer).await,
            AgentCommand::Send(arguments) => return agent::send::run(arguments, printer).await,
            AgentCommand::Subscribe(arguments) => {
                return agent::subscribe::run(arguments, printer).await;
            }
        },
        Command::Completions(arguments) => completions::run(&arguments, &cli.program, printer)?,
        Command::Man(arguments) => man::run(arguments, printer)?,
        Command::Version(arguments) => version::run(arguments, printer).await?,
        Command::Itself(SelfCommand::Uninstall(arguments)) => {
            itself::uninstall::run(arguments, &cli.program, printer).await?;
        }
        Command::Tools(arguments) => tools::run(arguments, printer).await?,
        Command::Conform(command) => {
            return match command {
                ConformCommand::Host(arguments) => conform::host::run(arguments, printer).await,
                ConformCommand::Caller(arguments) => conform::caller::run(arguments, printer).await,
            };
        }
        Command::Kv(command) => match command {
            KvCommand::Get(arguments) => kv::get::run(arguments, printer).await?,
            KvCommand::Put(arguments) => kv::put::run(arguments, printer).await?,
            KvCommand::Create(arguments) => kv::create::run(arguments, printer).await?,
            KvCommand::Update(arguments) => kv::update::run(arguments, printer).await?,
            KvCommand::History(arguments) => kv::history::run(arguments, printer).await?,
            KvCommand::Delete(arguments) => kv::delete::run(arguments, printer).await?,
            KvCommand::List(arguments) => kv::list::run(arguments, printer).await?,
            KvCommand::Watch(arguments) => return kv::watch::run(arguments, printer).await,
        },
        Command::Workspace(command) => match command {
            WorkspaceCommand::Put(arguments) => {
                return workspace::put::run(arguments, printer).await;
            }
            WorkspaceCommand::Get(arguments) => {
                return workspace::get::run(arguments, printer).await;
            }
            WorkspaceCommand::List(arguments) => workspace::list::run(arguments, printer).await?,
            WorkspaceCommand::Info(arguments) => workspace::info::run(arguments, printer).await?,
            WorkspaceCommand::Delete(arguments) => {
                workspace::delete::run(arguments, printer).await?;
            }
        },
    }
    Ok(ExitCode::SUCCESS)
}
