use std::path::{Path, PathBuf};

use openagentmesh::AgentMesh;
use openagentmesh_local::{DetachedServer, KeptData, LocalCluster, LocalError, LocalServer};
use serde::Serialize;

use crate::cli::MeshUp;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{live, shell, url_file};

/// A mesh that has started, for programs.
#[derive(Debug, Serialize)]
struct Started {
    url: String,
    directory: PathBuf,
    pids: Vec<u32>,
    data: Option<PathBuf>,
    logs: Vec<PathBuf>,
    websocket_url: Option<String>,
    websocket_origins: Vec<String>,
    foreground: bool,
}

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
    let directory = url_file::working_directory()?;
    let mut settings = DetachedServer::builder()
        .port(arguments.port)
        .started_in(&directory);
    for origin in arguments.websocket {
        settings = settings.websocket_origin(origin);
    }
    if let Some(nodes) = arguments.cluster {
        settings = settings.cluster(nodes);
    }
    if let Some(data) = arguments.data {
        settings = settings.data_directory(data);
    }
    let server = settings.start().await.map_err(start_failure)?;
    if let Err(failure) = prepare(server.url()).await {
        server.stop().await?;
        return Err(failure);
    }
    let started = Started {
        url: server.url().to_owned(),
        directory,
        pids: server.pids(),
        data: server.data_directory().map(Path::to_owned),
        logs: server.log_paths(),
        websocket_url: server.websocket_url().map(str::to_owned),
        websocket_origins: server.websocket_origins().to_owned(),
        foreground: false,
    };
    announce(printer, &started).await?;
    printer.note("stop it with: oam mesh down");
    Ok(())
}

async fn in_foreground(arguments: MeshUp, printer: &Printer) -> Result<(), Failure> {
    let _listener = live::Listener::new();
    // One signal listener for both waits, so that no signal is lost between them.
    let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
    let directory = url_file::working_directory()?;
    let server = tokio::select! {
        server = Foreground::start(arguments, &directory) => server?,
        signal = &mut signal => return Ok(signal?),
    };
    let started = server.started(directory);
    let path = prepare(&started.url).await?;
    let mut served = announce(printer, &started).await;
    if served.is_ok() {
        printer.note("stop it with Ctrl-C");
        served = signal.await.map_err(Failure::from);
    }
    // `oam mesh connect` may have replaced the URL since.
    url_file::remove_if_url(&path, &started.url)?;
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
    async fn start(arguments: MeshUp, directory: &Path) -> Result<Self, Failure> {
        if let Some(nodes) = arguments.cluster {
            let mut settings = LocalCluster::builder()
                .nodes(nodes)
                .port(arguments.port)
                .started_in(directory);
            if let Some(data) = arguments.data {
                settings = settings.data_directory(data);
            }
            let cluster = settings.start().await.map_err(start_failure)?;
            return Ok(Self::Cluster(Box::new(cluster)));
        }
        let mut settings = LocalServer::builder()
            .port(arguments.port)
            .started_in(directory);
        for origin in arguments.websocket {
            settings = settings.websocket_origin(origin);
        }
        if let Some(data) = arguments.data {
            settings = settings.data_directory(data);
        }
        let server = settings.start().await.map_err(start_failure)?;
        Ok(Self::Server(Box::new(server)))
    }

    fn started(&self, directory: PathBuf) -> Started {
        let foreground = true;
        match self {
            Self::Server(server) => Started {
                url: server.url().to_owned(),
                directory,
                pids: vec![server.pid()],
                data: server.data_directory().map(Path::to_owned),
                logs: vec![server.log_path()],
                websocket_url: server.websocket_url().map(str::to_owned),
                websocket_origins: server.websocket_origins().to_owned(),
                foreground,
            },
            Self::Cluster(cluster) => Started {
                url: cluster.url().to_owned(),
                directory,
                pids: cluster
                    .nodes()
                    .iter()
                    .filter_map(|node| node.pid())
                    .collect(),
                data: cluster.data_directory().map(Path::to_owned),
                logs: cluster.nodes().iter().map(|node| node.log_path()).collect(),
                websocket_url: None,
                websocket_origins: Vec::new(),
                foreground,
            },
        }
    }
}

/// The failure of a start, with the command that serves the data if another number of servers does.
fn start_failure(error: LocalError) -> Failure {
    let hint = match &error {
        LocalError::DataOfOtherNodes { path, nodes } => {
            let nodes = Some(*nodes).filter(|nodes| *nodes > 1);
            Some(up_command(path, nodes))
        }
        _ => None,
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The command that serves the data in a directory; `nodes` is the size of its cluster.
pub(super) fn up_command(data: &Path, nodes: Option<usize>) -> String {
    let cluster = nodes.map(|nodes| format!(" --cluster {nodes}"));
    format!(
        "oam mesh up --data {}{}",
        shell::word(&data.to_string_lossy()),
        cluster.unwrap_or_default()
    )
}

/// Creates the buckets of a new mesh, and names the mesh in this directory's `.oam-url`.
async fn prepare(url: &str) -> Result<PathBuf, Failure> {
    let mesh = AgentMesh::connect(url).await?;
    mesh.create_buckets().await?;
    mesh.shutdown().await?;
    url_file::write(url)
}

async fn announce(printer: &Printer, started: &Started) -> Result<(), Failure> {
    if printer.is_json() {
        printer.json(started)?;
    } else {
        printer.line(format!("the mesh is up at {}", started.url))?;
        if let Some(data) = &started.data {
            let data = on_one_line(&data.to_string_lossy());
            printer.line(format!("its data is kept in {data}"))?;
        }
        if let Some(websocket_url) = &started.websocket_url {
            printer.line(format!(
                "WebSocket is on at {websocket_url} for web pages of {}",
                started.websocket_origins.join(", ")
            ))?;
        }
    }
    if started.websocket_url.is_some() {
        printer.note("programs other than browsers can use the WebSocket port too");
    }
    url_file::note_overriding_variable(printer, &started.url);
    if started.data.is_none() {
        note_kept_data(printer, &started.directory).await;
    }
    Ok(())
}

/// Names data that earlier meshes of this directory have left, and that the new one does not serve.
async fn note_kept_data(printer: &Printer, directory: &Path) {
    // The mesh is up: without the memory there is no note.
    for kept in KeptData::of_directory(directory).await.unwrap_or_default() {
        let command = up_command(kept.path(), kept.nodes());
        printer.note(format!(
            "this mesh starts empty; {command} serves the data that was kept before"
        ));
    }
}
