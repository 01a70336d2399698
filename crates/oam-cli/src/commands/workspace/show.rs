//! The content of a file on a terminal.

use openagentmesh::{AgentMesh, Error, ErrorCode};
use tokio::io::AsyncReadExt;

use super::failure::not_found;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::{live, shell};

/// A larger file is not printed to a terminal.
const MAX_SHOWN_BYTES: u64 = 4 * 1024 * 1024;

/// Prints the file `name` to the terminal at stdout: text only, with invisible characters escaped.
pub(super) async fn print(
    mesh: &AgentMesh,
    name: &str,
    printer: &Printer,
) -> Result<ExitCode, Failure> {
    match live::unless_interrupted(read(mesh, name)).await? {
        None => Ok(ExitCode::INTERRUPTED),
        Some(content) => {
            printer.bytes(&content?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The failure of a file that is not printed.
fn not_printed(content: &str, name: &str) -> Failure {
    Failure::local(format!("{content} not printed: stdout is a terminal"))
        .hint(format!("oam workspace get {} FILE", shell::word(name)))
}

async fn read(mesh: &AgentMesh, name: &str) -> Result<Vec<u8>, Failure> {
    let workspace = mesh.workspace();
    let reader = match workspace.get(name).reader().await {
        Ok(reader) => reader,
        Err(error) if error.code() == &ErrorCode::NotFound => {
            return Err(not_found(&workspace, name).await);
        }
        Err(error) => return Err(error.into()),
    };
    let size = reader.info().size;
    if size > MAX_SHOWN_BYTES {
        return Err(not_printed(&format!("file of {size} bytes"), name));
    }
    let mut content = Vec::new();
    // The limit also holds for a file whose metadata is wrong.
    let mut reader = reader.take(MAX_SHOWN_BYTES);
    reader
        .read_to_end(&mut content)
        .await
        .map_err(|error| match error.downcast::<Error>() {
            Ok(error) => error.into(),
            Err(error) => Failure::local(format!("cannot read the file: {error}")),
        })?;
    match str::from_utf8(&content) {
        Ok(_) => Ok(content),
        Err(_) => Err(not_printed("binary file", name)),
    }
}
