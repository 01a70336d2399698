//! `oam man`.

use std::fs;
use std::path::Path;

use clap::Command;
use serde_json::json;

use crate::cli::{Cli, Man};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::shell;

/// The name of the manual in the header of each page.
const MANUAL: &str = "OpenAgentMesh";

pub(crate) fn run(arguments: Man, printer: &Printer) -> Result<(), Failure> {
    // The page of `oam help` has nothing that the others have not.
    let mut root = Cli::definitions().disable_help_subcommand(true);
    // Building sets the full names and the usage.
    root.build();
    let Some(directory) = arguments.directory else {
        let page = page(root)?.text;
        if printer.is_json() {
            return printer.json(&json!({ "page": page }));
        }
        return printer.bytes(page.as_bytes());
    };
    fs::create_dir_all(&directory).map_err(|error| {
        Failure::local(format!("cannot create {}: {error}", directory.display()))
    })?;
    let mut written = Vec::new();
    for command in with_children(&root) {
        let page = page(command)?;
        let path = directory.join(&page.name);
        fs::write(&path, page.text)
            .map_err(|error| Failure::local(format!("cannot write {}: {error}", path.display())))?;
        written.push(page.name);
    }
    if printer.is_json() {
        return printer.json(&json!({
            "directory": directory.to_string_lossy(),
            "pages": written,
        }));
    }
    printer.line(format!(
        "wrote {} pages into {}",
        written.len(),
        shell::word(&directory.to_string_lossy())
    ))?;
    printer.note(format!("read one with: man -l {}", example(&directory)));
    Ok(())
}

/// The path of a page, as a word of the shell.
fn example(directory: &Path) -> String {
    let path = directory.join("oam-agent-call.1");
    shell::word(&path.to_string_lossy()).into_owned()
}

/// The manual page of one command.
struct Page {
    /// The file name, such as `oam-agent-call.1`.
    name: String,
    /// The page in the language of roff.
    text: String,
}

fn page(command: Command) -> Result<Page, Failure> {
    let man = clap_mangen::Man::new(command)
        .manual(MANUAL)
        .source(concat!("oam ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text)
        .map_err(|error| Failure::local(format!("cannot render a manual page: {error}")))?;
    Ok(Page {
        name: man.get_filename(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

/// A command, and all below it.
fn with_children(command: &Command) -> Vec<Command> {
    let children = command
        .get_subcommands()
        .filter(|child| child.get_name() != "help" && !child.is_hide_set());
    std::iter::once(command.clone())
        .chain(children.flat_map(with_children))
        .collect()
}
