use openagentmesh::{AgentMesh, ErrorCode};
use openagentmesh_local::DetachedServer;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::url_file;

pub(crate) async fn run(printer: &Printer) -> Result<(), Failure> {
    let Some((path, url)) = url_file::nearest()? else {
        return without_url_file(printer).await;
    };
    if let Some(server) = DetachedServer::find_by_url(&url).await? {
        server.stop().await?;
        url_file::remove(&path)?;
        printer.line(format!("stopped the mesh at {}", server.url()));
        return Ok(());
    }
    let redacted = url_file::redacted(&url);
    let is_gone = url_file::is_local(&url)
        && AgentMesh::connect(&url)
            .await
            .is_err_and(|error| error.code() == &ErrorCode::ConnectionFailed);
    if is_gone {
        url_file::remove(&path)?;
        printer.line(format!(
            "the mesh at {redacted} is not running; removed {}",
            path.display()
        ));
        return Ok(());
    }
    Err(Failure::local(format!(
        "the mesh at {redacted}, named by {}, was not started by oam mesh up",
        path.display()
    ))
    .hint("stop it where it was started (Ctrl-C for oam mesh up --foreground)"))
}

/// Without a `.oam-url`, a mesh that was started in this directory may still run.
async fn without_url_file(printer: &Printer) -> Result<(), Failure> {
    let here = url_file::working_directory()?;
    let running = DetachedServer::list().await?;
    let mut stopped = false;
    for server in running.iter().filter(|server| server.started_in() == here) {
        server.stop().await?;
        printer.line(format!("stopped the mesh at {}", server.url()));
        stopped = true;
    }
    if stopped {
        return Ok(());
    }
    printer.line("no mesh was started here; nothing to stop");
    for server in &running {
        printer.note(format!(
            "a mesh is running at {}; stop it with: cd {} && oam mesh down",
            server.url(),
            server.started_in().display()
        ));
    }
    Ok(())
}
