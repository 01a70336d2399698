use std::path::PathBuf;

use openagentmesh::AgentMesh;
use openagentmesh_local::{DetachedServer, LocalCluster, LocalServer};

use crate::cli::MeshUp;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::{live, url_file};

pub(crate) async fn run(arguments: MeshUp, printer: &Printer) -> Result<(), Failure> {
    refuse_second_mesh().await?;
    if arguments.foreground {
        in_foreground(arguments, printer).await
    } else {
        in_background(arguments, printer).await
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

async fn in_background(arguments: MeshUp, printer: &Printer) -> Result<(), Failure> {
    let mut settings = DetachedServer::builder()
        .port(arguments.port)
        .started_in(url_file::working_directory()?);
    for origin in arguments.websocket {
        settings = settings.websocket_origin(origin);
    }
    if let Some(nodes) = arguments.cluster {
        settings = settings.cluster(nodes);
    }
    let server = settings.start().await?;
    if let Err(failure) = prepare(server.url()).await {
        server.stop().await?;
        return Err(failure);
    }
    let websocket = server.websocket_url();
    announce(printer, server.url(), websocket, server.websocket_origins())?;
    printer.note("stop it with: oam mesh down");
    Ok(())
}

async fn in_foreground(arguments: MeshUp, printer: &Printer) -> Result<(), Failure> {
    let _listener = live::Listener::new();
    // One signal listener for both waits, so that no signal is lost between them.
    let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
    let server = tokio::select! {
        server = Foreground::start(arguments) => server?,
        signal = &mut signal => return Ok(signal?),
    };
    let (url, websocket, origins) = match &server {
        Foreground::Server(server) => {
            let websocket = server.websocket_url();
            (server.url(), websocket, server.websocket_origins())
        }
        Foreground::Cluster(cluster) => (cluster.url(), None, [].as_slice()),
    };
    let path = prepare(url).await?;
    let mut served = announce(printer, url, websocket, origins);
    if served.is_ok() {
        printer.note("stop it with Ctrl-C");
        served = signal.await.map_err(Failure::from);
    }
    // `oam mesh connect` may have replaced the URL since.
    url_file::remove_if_url(&path, url)?;
    match server {
        Foreground::Server(server) => server.stop().await?,
        Foreground::Cluster(cluster) => cluster.stop().await?,
    }
    served
}

/// The servers that this process owns while it stays in the foreground.
enum Foreground {
    Server(Box<LocalServer>),
    Cluster(Box<LocalCluster>),
}

impl Foreground {
    async fn start(arguments: MeshUp) -> Result<Self, Failure> {
        if let Some(nodes) = arguments.cluster {
            let settings = LocalCluster::builder().nodes(nodes).port(arguments.port);
            return Ok(Self::Cluster(Box::new(settings.start().await?)));
        }
        let mut settings = LocalServer::builder().port(arguments.port);
        for origin in arguments.websocket {
            settings = settings.websocket_origin(origin);
        }
        Ok(Self::Server(Box::new(settings.start().await?)))
    }
}

/// Creates the buckets of a new mesh, and names the mesh in this directory's `.oam-url`.
async fn prepare(url: &str) -> Result<PathBuf, Failure> {
    let mesh = AgentMesh::connect(url).await?;
    mesh.create_buckets().await?;
    mesh.shutdown().await?;
    url_file::write(url)
}

fn announce(
    printer: &Printer,
    url: &str,
    websocket_url: Option<&str>,
    origins: &[String],
) -> Result<(), Failure> {
    printer.line(format!("the mesh is up at {url}"))?;
    if let Some(websocket_url) = websocket_url {
        printer.line(format!(
            "WebSocket is on at {websocket_url} for web pages of {}",
            origins.join(", ")
        ))?;
        printer.note("programs other than browsers can use the WebSocket port too");
    }
    url_file::note_overriding_variable(printer, url);
    Ok(())
}
