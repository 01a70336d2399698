use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use indicatif::HumanBytes;
use openagentmesh::{Download, Error, ErrorCode, ObjectInfo};
use tokio::fs;

use super::not_found;
use crate::cli::WorkspaceGet;
use crate::commands::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::transfer::Transfer;
use crate::{live, shell};

pub(crate) async fn run(arguments: WorkspaceGet, printer: &Printer) -> Result<ExitCode, Failure> {
    let name = arguments.name;
    let destination = match arguments.file {
        Some(path) if path == Path::new("-") => Destination::Stdout,
        Some(path) => Destination::at(path).await?,
        None if io::stdout().is_terminal() => {
            Destination::named_after(&name, arguments.force).await?
        }
        None => Destination::Stdout,
    };
    let path = destination.path();
    let mesh = connect(arguments.target).await?;
    let transfer = match &destination {
        Destination::Stdout if io::stdout().is_terminal() => Transfer::hidden(),
        _ => Transfer::new(format!("Getting {}", on_one_line(&name))),
    };
    let download = mesh.workspace().get(&name);
    let download = download.on_progress(|progress| transfer.show(progress));
    let downloaded = tokio::select! {
        biased;
        () = printer.reader_gone(), if path.is_none() => return Ok(ExitCode::SUCCESS),
        downloaded = live::unless_interrupted(destination.write(download)) => downloaded?,
    };
    drop(transfer);
    match (downloaded, path) {
        (None, _) => return Ok(ExitCode::from(live::INTERRUPTED)),
        (Some(Ok(object)), Some(path)) => printer.line(format!(
            "got {}, {}, into {}",
            on_one_line(&name),
            HumanBytes(object.size),
            path.display()
        )),
        (Some(Ok(_)), None) => {}
        (Some(Err(error)), path) => match not_written(&error) {
            // Whoever read it has enough.
            Some(reason) if reason.kind() == ErrorKind::BrokenPipe => {}
            Some(reason) => {
                let path = path.unwrap_or_else(|| "stdout".into());
                return Err(cannot_be_written(&path, reason)
                    .hint("the workspace still has it: make room, or get it into another place"));
            }
            None if error.code() == &ErrorCode::NotFound => return Err(not_found(&name)),
            None => return Err(error.into()),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the content goes.
enum Destination {
    Stdout,
    /// A file that is made, or replaced once all has come; or a device.
    File(PathBuf),
}

impl Destination {
    /// The file at `path`.
    async fn at(path: PathBuf) -> Result<Self, Failure> {
        let found = match fs::metadata(&path).await {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                check_directory_of(&path).await?;
                return Ok(Self::File(path));
            }
            Err(error) => return Err(cannot_be_written(&path, &error)),
        };
        if found.is_dir() {
            let inside = path.join("FILE");
            return Err(
                Failure::usage(format!("{} is a directory", path.display())).hint(format!(
                    "name the file in it: {}",
                    shell::word(&inside.to_string_lossy())
                )),
            );
        }
        Ok(Self::File(path))
    }

    /// A file in this directory with the last part of the `name` that it has in the workspace.
    async fn named_after(name: &str, force: bool) -> Result<Self, Failure> {
        let path = last_part(name).ok_or_else(|| {
            Failure::usage(format!(
                "no file on this machine can be called like '{}'",
                on_one_line(name)
            ))
            .hint("name one behind the NAME, or - for stdout")
        })?;
        // A link that points nowhere is there, too.
        if !force && fs::symlink_metadata(&path).await.is_ok() {
            let message = format!("{} is there already", path.display());
            return Err(Failure::here(message)
                .hint("--force replaces it; a FILE behind the NAME goes elsewhere"));
        }
        Self::at(path).await
    }

    /// What is named when the content is there; nothing if it goes to stdout.
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path.clone()),
        }
    }

    async fn write(self, download: Download<'_>) -> Result<ObjectInfo, Error> {
        match self {
            Self::Stdout => download.to_writer(&mut tokio::io::stdout()).await,
            Self::File(path) => download.to_file(path).await,
        }
    }
}

/// What stands behind the last `/`, if a file can be called so: not a way to another directory.
fn last_part(name: &str) -> Option<PathBuf> {
    let last = Path::new(name.rsplit('/').next()?);
    let mut components = last.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) => Some(PathBuf::from(only)),
        _ => None,
    }
}

async fn check_directory_of(path: &Path) -> Result<(), Failure> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => return Ok(()),
    };
    match fs::metadata(directory).await {
        Ok(found) if found.is_dir() => Ok(()),
        _ => Err(
            Failure::usage(format!("there is no directory {}", directory.display())).hint(format!(
                "make it first: mkdir -p {}",
                shell::word(&directory.to_string_lossy())
            )),
        ),
    }
}

/// Why the content could not be written, if it was that.
fn not_written(error: &Error) -> Option<&io::Error> {
    // A lost connection may have one of these inside, too.
    if error.code() == &ErrorCode::ConnectionFailed {
        return None;
    }
    std::error::Error::source(error)?.downcast_ref()
}

fn cannot_be_written(path: &Path, error: &io::Error) -> Failure {
    Failure::here(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::last_part;

    #[test]
    fn a_name_of_the_workspace_leads_to_no_other_directory() {
        for (name, expected) in [
            ("notes.txt", "notes.txt"),
            ("reports/2026.pdf", "2026.pdf"),
            ("/etc/passwd", "passwd"),
            ("../../x", "x"),
            ("-", "-"),
        ] {
            assert_eq!(last_part(name).as_deref(), Some(Path::new(expected)));
        }
        for name in ["reports/", "..", "a/..", ".", "a/.", "/", ""] {
            assert_eq!(last_part(name), None, "{name}");
        }
    }
}
