use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Component, Path, PathBuf};

use indicatif::HumanBytes;
use openagentmesh::{Download, Error, ErrorCode, ObjectInfo};
use tokio::fs;
use tokio::sync::Notify;

use super::failure::not_found;
use super::file::File;
use crate::cli::WorkspaceGet;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::transfer::Transfer;
use crate::{live, shell};

/// The command that makes a directory and those above it. That of Windows does so without an option.
const MAKE_DIRECTORIES: &str = if cfg!(windows) { "mkdir" } else { "mkdir -p" };

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
        _ => printer.transfer(format!("Getting {}", on_one_line(&name))),
    };
    let download = mesh.workspace().get(&name);
    let has_begun = Notify::new();
    let download = download.on_progress(|progress| {
        has_begun.notify_one();
        transfer.show(progress);
    });
    // An error of the file, such as a missing one, goes before a closed pipe.
    let reader_closed = async {
        has_begun.notified().await;
        printer.reader_closed().await;
    };
    let downloaded = tokio::select! {
        biased;
        () = reader_closed, if path.is_none() => return Ok(ExitCode::SUCCESS),
        downloaded = live::unless_interrupted(destination.write(download)) => downloaded?,
    };
    drop(transfer);
    match (downloaded, path) {
        (None, _) => return Ok(ExitCode::INTERRUPTED),
        (Some(Ok(object)), Some(_)) if printer.is_json() => printer.json(&File::from(&object))?,
        (Some(Ok(object)), Some(path)) => printer.line(format!(
            "got {}, {}, into {}",
            on_one_line(&name),
            HumanBytes(object.size),
            on_one_line(&path.to_string_lossy())
        ))?,
        (Some(Ok(_)), None) => {}
        (Some(Err(error)), path) => match (write_error(&error), path) {
            (Some(reason), None) => return Err(Failure::stdout(reason)),
            (Some(reason), Some(path)) => {
                return Err(cannot_be_written(&path, reason).hint(
                    "the workspace still has the file: free some space, or choose another FILE",
                ));
            }
            _ if error.code() == &ErrorCode::NotFound => return Err(not_found(&name)),
            _ => return Err(error.into()),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The destination of the content.
enum Destination {
    Stdout,
    /// A file, which is created or replaced when the download is complete; or a device.
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
                    "name a file in it: {}",
                    shell::word(&inside.to_string_lossy())
                )),
            );
        }
        Ok(Self::File(path))
    }

    /// A file in this directory, named after the last part of its `name` in the workspace.
    async fn named_after(name: &str, force: bool) -> Result<Self, Failure> {
        let path = last_part(name).ok_or_else(|| {
            Failure::usage(format!(
                "cannot derive a file name from '{}'",
                on_one_line(name)
            ))
            .hint("add a FILE after the NAME, or - for stdout")
        })?;
        // A dangling link counts as an existing file.
        if !force && fs::symlink_metadata(&path).await.is_ok() {
            let message = format!("{} already exists", path.display());
            return Err(Failure::local(message)
                .hint("--force replaces it; a FILE after the NAME selects another file"));
        }
        Self::at(path).await
    }

    /// The path of the file; `None` for stdout.
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

/// The part after the last `/`, if it is a plain file name and not a path to another directory.
fn last_part(name: &str) -> Option<PathBuf> {
    let last = Path::new(name.rsplit('/').next()?);
    let mut components = last.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None)
            if !cfg!(windows) || only.to_str().is_some_and(is_file_on_windows) =>
        {
            Some(PathBuf::from(only))
        }
        _ => None,
    }
}

/// Whether a file on Windows can have this name. Otherwise it may be a device, where the content is lost, or a stream of
/// another file.
fn is_file_on_windows(name: &str) -> bool {
    const RESERVED: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let stem = stem.to_ascii_uppercase();
    let port = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    let is_port = port.is_some_and(|number| {
        let mut digits = number.chars();
        matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
    });
    let is_device = is_port || RESERVED.contains(&stem.as_str());
    !is_device && !name.contains(['<', '>', ':', '"', '|', '?', '*']) && !name.ends_with(['.', ' '])
}

async fn check_directory_of(path: &Path) -> Result<(), Failure> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => return Ok(()),
    };
    match fs::metadata(directory).await {
        Ok(found) if found.is_dir() => Ok(()),
        _ => Err(
            Failure::usage(format!("directory {} not found", directory.display())).hint(format!(
                "create it first: {MAKE_DIRECTORIES} {}",
                shell::word(&directory.to_string_lossy())
            )),
        ),
    }
}

/// The cause of a failed write to the destination; `None` for any other error.
fn write_error(error: &Error) -> Option<&io::Error> {
    // A lost connection has an I/O error as its source, too.
    if error.code() == &ErrorCode::ConnectionFailed {
        return None;
    }
    std::error::Error::source(error)?.downcast_ref()
}

fn cannot_be_written(path: &Path, error: &io::Error) -> Failure {
    Failure::local(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_file_on_windows, last_part};

    #[test]
    fn name_with_directories_is_reduced_to_its_last_part() {
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

    #[test]
    fn device_or_stream_of_windows_is_not_a_file_there() {
        for name in ["notes.txt", "console", "com10", "a b.tar.gz", "lpt", "nul_"] {
            assert!(is_file_on_windows(name), "{name}");
        }
        for name in [
            "NUL", "nul.txt", "con .a.b", "Com1", "lpt³.x", "a:b", "a?", "a.", "a ",
        ] {
            assert!(!is_file_on_windows(name), "{name}");
        }
    }
}
