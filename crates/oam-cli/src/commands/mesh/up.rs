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

/// A directory has one mesh: its `.oam-url` names it.
async fn refuse_second_mesh() -> Result<(), Failure> {
    let Some((path, url)) = url_file::nearest()? else {
        return Ok(());
    };
    let is_here = path.parent() == Some(&*url_file::working_directory()?);
    if DetachedServer::find_by_url(&url).await?.is_some() {
        return Err(Failure::here(format!(
            "a mesh is running already at {}, which {} names",
            url_file::shown(&url),
            path.display()
        ))
        .hint("use it as it is, or stop it first: oam mesh down"));
    }
    if is_here && !url_file::is_local(&url) {
        return Err(Failure::here(format!(
            "{} names the mesh at {} and would be overwritten",
            path.display(),
            url_file::shown(&url)
        ))
        .hint("remove that file to start a mesh of your own"));
    }
    if is_here && openagentmesh::AgentMesh::connect(&url).await.is_ok() {
        return Err(Failure::here(format!(
            "{} names the mesh at {}, which answers",
            path.display(),
            url_file::shown(&url)
        ))
        .hint("use it as it is, or remove that file to start a mesh of your own"));
    }
    Ok(())
}

async fn in_background(port: u16, printer: &Printer) -> Result<(), Failure> {
    let server = DetachedServer::builder()
        .port(port)
        .started_in(url_file::working_directory()?)
        .start()
        .await?;
    if let Err(failure) = url_file::write(server.url()) {
        server.stop().await?;
        return Err(failure);
    }
    announce(printer, server.url());
    printer.note("stop it with: oam mesh down");
    Ok(())
}

async fn in_foreground(port: u16, printer: &Printer) -> Result<(), Failure> {
    // One wait from the start to the end, so that no signal falls between two.
    let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
    let server = tokio::select! {
        server = LocalServer::builder().port(port).start() => server?,
        signal = &mut signal => return Ok(signal?),
    };
    let path = url_file::write(server.url())?;
    announce(printer, server.url());
    printer.note("stop it with Ctrl-C");
    let signal = signal.await;
    // By now it may name another mesh: `oam mesh connect` says which.
    url_file::remove_if_it_names(&path, server.url())?;
    server.stop().await?;
    Ok(signal?)
}

fn announce(printer: &Printer, url: &str) {
    printer.line(format!("the mesh is up at {url}"));
    url_file::note_other_variable(printer, url);
}
