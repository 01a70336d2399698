//! One file for each command.

mod agent;
mod demo;
mod mesh;

use std::process::ExitCode;

use openagentmesh::AgentMesh;

use crate::cli::{AgentCommand, Cli, Command, MeshCommand, Target};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) async fn run(cli: Cli, printer: &Printer) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Demo => demo::run(printer).await?,
        Command::Mesh(command) => match command {
            MeshCommand::Up(arguments) => mesh::up::run(arguments, printer).await?,
            MeshCommand::Down => mesh::down::run(printer).await?,
            MeshCommand::Connect(arguments) => mesh::connect::run(arguments, printer).await?,
            MeshCommand::Catalog(arguments) => mesh::catalog::run(arguments, printer).await?,
            MeshCommand::Listen(arguments) => mesh::listen::run(arguments, printer).await?,
        },
        Command::Agent(command) => match command {
            AgentCommand::Contract(arguments) => agent::contract::run(arguments, printer).await?,
            AgentCommand::Call(arguments) => agent::call::run(arguments, printer).await?,
            AgentCommand::Stream(arguments) => return agent::stream::run(arguments, printer).await,
            AgentCommand::Subscribe(arguments) => agent::subscribe::run(arguments, printer).await?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects to the mesh that the arguments or the environment name.
async fn connect(target: Target) -> Result<AgentMesh, Failure> {
    let mut builder = AgentMesh::builder();
    if let Some(url) = target.url {
        builder = builder.url(url);
    }
    if let Some(creds) = target.creds {
        builder = builder.credentials(creds);
    }
    Ok(builder.connect().await?)
}
