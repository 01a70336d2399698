use std::path::PathBuf;

use openagentmesh::AgentMesh;
use openagentmesh_local::{DetachedServer, LocalServer};

use crate::cli::MeshUp;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::url_file;

pub(crate) async fn run(arguments: MeshUp, printer: &Printer) -> Result<(), Failure> {
    refuse_second_mesh().await?;
    if arguments.foreground {
        in_foreground(arguments.port, printer).await
    } else {
        in_background(arguments.port, printer).await
    }
}

/// A directory has one mesh, named by its `.oam-url`.
async fn refuse_second_mesh() -> Result<(), Failure> {
    let Some((path, url)) = url_file::nearest()? else {
        return Ok(());
    };
    let is_here = path.parent() == Some(&*url_file::working_directory()?);
    if DetachedServer::find_by_url(&url).await?.is_some() {
        return Err(Failure::local(format!(
            "a mesh is already running at {}, named by {}",
            url_file::redacted(&url),
            path.display()
        ))
        .hint("use that mesh, or stop it first: oam mesh down"));
    }
    if is_here && !url_file::is_local(&url) {
        return Err(Failure::local(format!(
            "{} names the mesh at {} and would be overwritten",
            path.display(),
            url_file::redacted(&url)
        ))
        .hint("remove the file to start another mesh"));
    }
    if is_here && AgentMesh::connect(&url).await.is_ok() {
        return Err(Failure::local(format!(
            "{} names the mesh at {}, which is running",
            path.display(),
            url_file::redacted(&url)
        ))
        .hint("use that mesh, or remove the file to start another mesh"));
    }
    Ok(())
}

async fn in_background(port: u16, printer: &Printer) -> Result<(), Failure> {
    let server = DetachedServer::builder()
        .port(port)
        .started_in(url_file::working_directory()?)
        .start()
        .await?;
    if let Err(failure) = prepare(server.url()).await {
        server.stop().await?;
        return Err(failure);
    }
    announce(printer, server.url());
    printer.note("stop it with: oam mesh down");
    Ok(())
}

async fn in_foreground(port: u16, printer: &Printer) -> Result<(), Failure> {
    // One signal listener for both waits, so that no signal is lost between them.
    let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
    let server = tokio::select! {
        server = LocalServer::builder().port(port).start() => server?,
        signal = &mut signal => return Ok(signal?),
    };
    let path = prepare(server.url()).await?;
    announce(printer, server.url());
    printer.note("stop it with Ctrl-C");
    let signal = signal.await;
    // `oam mesh connect` may have replaced the URL since.
    url_file::remove_if_url(&path, server.url())?;
    server.stop().await?;
    Ok(signal?)
}

/// Creates the buckets of a new mesh, and names the mesh in this directory's `.oam-url`.
async fn prepare(url: &str) -> Result<PathBuf, Failure> {
    let mesh = AgentMesh::connect(url).await?;
    mesh.create_buckets().await?;
    mesh.shutdown().await?;
    url_file::write(url)
}

fn announce(printer: &Printer, url: &str) {
    printer.line(format!("the mesh is up at {url}"));
    url_file::note_overriding_variable(printer, url);
}
