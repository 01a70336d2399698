//! `oam completions`.

use std::path::Path;

use serde_json::json;

use crate::cli::{Completions, Shell};
use crate::complete;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::url_file::working_directory;

/// `program` is the name by which `oam` was started.
pub(crate) fn run(
    arguments: &Completions,
    program: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    let script = script(arguments.shell, program)?;
    if printer.is_json() {
        return printer.json(&json!({
            "shell": arguments.shell.name(),
            "script": script,
        }));
    }
    printer.data_line(script.trim_end())
}

/// The script starts the same program from each directory.
fn script(shell: Shell, program: &str) -> Result<String, Failure> {
    // A name alone is found on the path, also after an update.
    if Path::new(program).components().count() == 1 {
        return Ok(complete::script(shell, program));
    }
    let program = working_directory()?.join(program);
    Ok(complete::script(shell, &program.to_string_lossy()))
}
