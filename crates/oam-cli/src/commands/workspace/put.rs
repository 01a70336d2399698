use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::HumanBytes;

use super::file::File;
use crate::cli::WorkspacePut;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{live, stdin};

pub(crate) async fn run(arguments: WorkspacePut, printer: &Printer) -> Result<ExitCode, Failure> {
    let source = Source::find(arguments.file).await?;
    let name = arguments.name;
    let mesh = connect(arguments.target).await?;
    let transfer = printer.transfer(format!("Putting {}", on_one_line(&name)));
    let is_stdin = matches!(source, Source::Stdin);
    let is_empty = AtomicBool::new(true);
    let mut upload = match source {
        Source::Stdin => mesh.workspace().put_reader(&name, tokio::io::stdin()),
        Source::File(path) => mesh.workspace().put_file(&name, path),
    }
    .on_progress(|progress| {
        is_empty.store(progress.bytes == 0, Ordering::Relaxed);
        transfer.show(progress);
    });
    if let Some(content_type) = arguments.content_type {
        upload = upload.content_type(content_type);
    }
    if let Some(description) = arguments.description {
        upload = upload.description(description);
    }
    for (key, value) in arguments.metadata {
        upload = upload.metadata(key, value);
    }
    let is_waiting = || is_stdin && is_empty.load(Ordering::Relaxed);
    let uploading = live::unless_interrupted(upload);
    let uploaded = stdin::with_note(printer, is_waiting, uploading).await?;
    drop(transfer);
    let Some(uploaded) = uploaded else {
        // The server handles requests in order: once this one is answered, the chunks that the
        // dropped upload sent are removed.
        let files = mesh.workspace();
        let clean_up = files.info(&name);
        drop(tokio::time::timeout(live::LEAVE_TIMEOUT, clean_up).await);
        live::leave(mesh).await?;
        return Ok(ExitCode::INTERRUPTED);
    };
    let object = uploaded?;
    if printer.is_json() {
        printer.json(&File::from(&object))?;
    } else {
        let name = on_one_line(&name);
        printer.line(format!("put {name}, {}", HumanBytes(object.size)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The source of the content.
enum Source {
    Stdin,
    File(PathBuf),
}

impl Source {
    /// Checks that the `file` is readable before anything is sent.
    async fn find(file: Option<PathBuf>) -> Result<Self, Failure> {
        match file {
            Some(path) if path != Path::new("-") => {
                check_readable(&path).await?;
                Ok(Self::File(path))
            }
            None if stdin::is_terminal() => Err(Failure::usage("missing content")
                .hint("add a FILE after the NAME, pipe it in, or type - and end it with Ctrl-D")),
            _ => Ok(Self::Stdin),
        }
    }
}

async fn check_readable(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    match tokio::fs::metadata(path).await {
        Ok(found) if found.is_dir() => {
            Err(Failure::usage(format!("{shown} is a directory")).hint("put its files one by one"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!("cannot read {shown}: {error}"))
            .hint("the NAME comes first, then the FILE on this machine")),
    }
}
