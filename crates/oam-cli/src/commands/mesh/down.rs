use std::path::Path;

use openagentmesh::{AgentMesh, ErrorCode, URL_FILE};
use openagentmesh_local::DetachedServer;

use crate::cli::MeshDown;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{shell, url_file};

pub(crate) async fn run(arguments: MeshDown, printer: &Printer) -> Result<(), Failure> {
    let Some((path, url)) = url_file::nearest()? else {
        return without_url_file(printer).await;
    };
    if let Some(server) = DetachedServer::find_by_url(&url).await? {
        if arguments.force || is_here_or_above(server.started_in())? {
            return stop(&server, &path, printer).await;
        }
        return forget(&server, &path, printer);
    }
    let redacted = url_file::redacted(&url);
    let is_gone = url_file::is_local(&url)
        && AgentMesh::connect(&url)
            .await
            .is_err_and(|error| error.code() == &ErrorCode::ConnectionFailed);
    if is_gone {
        url_file::remove(&path)?;
        return printer.line(format!(
            "the mesh at {redacted} is not running; removed {}",
            shown(&path)
        ));
    }
    Err(Failure::local(format!(
        "the mesh at {redacted}, named by {}, was not started by oam mesh up",
        path.display()
    ))
    .hint("stop it where it was started (Ctrl-C for oam mesh up --foreground)"))
}

/// Whether this directory is `started_in` or below it.
fn is_here_or_above(started_in: &Path) -> Result<bool, Failure> {
    let here = url_file::working_directory()?;
    // A removed directory has no canonical path, and no directory below it.
    let is_above = match (here.canonicalize(), started_in.canonicalize()) {
        (Ok(here), Ok(started_in)) => here.starts_with(started_in),
        _ => here.starts_with(started_in),
    };
    Ok(is_above)
}

/// Stops the server. Removes the `.oam-url` at `path`, and that of the directory of its start.
async fn stop(server: &DetachedServer, path: &Path, printer: &Printer) -> Result<(), Failure> {
    server.stop().await?;
    url_file::remove(path)?;
    url_file::remove_if_url(&server.started_in().join(URL_FILE), server.url())?;
    printer.line(format!("stopped the mesh at {}", server.url()))
}

/// Removes the `.oam-url` at `path`. The server belongs to another directory, and keeps running.
fn forget(server: &DetachedServer, path: &Path, printer: &Printer) -> Result<(), Failure> {
    let started_in = server.started_in();
    url_file::remove(path)?;
    printer.line(format!(
        "removed {}; the mesh at {} keeps running: it was started in {}",
        shown(path),
        server.url(),
        shown(started_in)
    ))?;
    printer.note(stop_command(server));
    Ok(())
}

fn shown(path: &Path) -> String {
    on_one_line(&path.to_string_lossy())
}

/// How to stop a mesh that belongs to another directory.
fn stop_command(server: &DetachedServer) -> String {
    let started_in = server.started_in();
    if started_in.is_dir() {
        let directory = started_in.to_string_lossy();
        format!(
            "stop it with: cd {} && oam mesh down",
            shell::word(&directory)
        )
    } else {
        let url = server.url();
        format!("stop it with: oam mesh connect {url} && oam mesh down --force")
    }
}

/// Without a `.oam-url`, a mesh that was started in this directory may still run.
async fn without_url_file(printer: &Printer) -> Result<(), Failure> {
    let here = url_file::working_directory()?;
    let running = DetachedServer::list().await?;
    let mut stopped = false;
    for server in running.iter().filter(|server| server.started_in() == here) {
        server.stop().await?;
        // All users could replace the file, so that it was passed over.
        url_file::remove_if_url(&here.join(URL_FILE), server.url())?;
        printer.line(format!("stopped the mesh at {}", server.url()))?;
        stopped = true;
    }
    if stopped {
        return Ok(());
    }
    printer.line("no mesh was started here; nothing to stop")?;
    for server in &running {
        printer.note(format!(
            "a mesh is running at {}; {}",
            server.url(),
            stop_command(server)
        ));
    }
    Ok(())
}
