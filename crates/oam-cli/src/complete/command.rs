//! The definitions of the commands, with completers for the names of a mesh.

use std::ffi::OsStr;

use clap::Command;
use clap_complete::engine::ArgValueCompleter;

use super::mesh::MeshNames;
use super::sources::source;

/// `command` with completers for the arguments that take the names of a mesh.
pub(super) fn with_names(command: Command, names: MeshNames) -> Command {
    annotated(command, "", &names)
}

/// `path` has the names of the command and of those above it, without that of the program.
fn annotated(command: Command, path: &str, names: &MeshNames) -> Command {
    let command = command.mut_args(|argument| {
        let Some(source) = source(path, argument.get_id().as_str()) else {
            return argument;
        };
        let names = names.clone();
        argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
            names.starting_with(source, typed)
        }))
    });
    command.mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name());
        annotated(command, path.trim_start(), names)
    })
}
