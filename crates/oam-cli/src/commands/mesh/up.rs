use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openagentmesh::{AgentMesh, CancellationToken, ErrorCode, redacted_url};
use openagentmesh_local::{DetachedServer, KeptData, LocalCluster, LocalError, LocalServer};
use serde::Serialize;

use super::monitor;
use crate::cli::MeshUp;
use crate::commands::auth::buckets;
use crate::commands::auth::local::LocalAuth;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{live, shell, url_file};

/// The limit of the wait for the leaders of the buckets. The servers of a cluster elect one for each, and an attempt fails
/// without it.
const LEADERS_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two attempts.
const LEADERS_PAUSE: Duration = Duration::from_millis(200);

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
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<StartedAuth>,
}

/// The users of a mesh that has started, for programs.
#[derive(Debug, Serialize)]
struct StartedAuth {
    directory: PathBuf,
    operator: PathBuf,
    monitor: PathBuf,
    invoker: PathBuf,
}

impl StartedAuth {
    fn new(auth: &LocalAuth) -> Self {
        Self {
            directory: auth.store.directory().to_owned(),
            operator: auth.operator.clone(),
            monitor: auth.monitor.clone(),
            invoker: auth.invoker.clone(),
        }
    }
}

pub(crate) async fn run(
    arguments: MeshUp,
    program: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    refuse_second_mesh().await?;
    let auth = arguments
        .auth
        .as_deref()
        .map(LocalAuth::prepare)
        .transpose()?;
    if arguments.foreground {
        in_foreground(arguments, auth, printer).await
    } else {
        in_background(arguments, auth, program, printer).await
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
            redacted_url(&url),
            path.display()
        ))
        .hint("use that mesh, or stop it first: oam mesh down"));
    }
    if is_here && !url_file::is_local(&url) {
        return Err(Failure::local(format!(
            "{} names the mesh at {} and would be overwritten",
            path.display(),
            redacted_url(&url)
        ))
        .hint("remove the file to start another mesh"));
    }
    if !is_here {
        return Ok(());
    }
    let is_running = match AgentMesh::connect(&url).await {
        Ok(_) => true,
        // A mesh with users.
        Err(error) => error.code() == &ErrorCode::ConnectionDenied,
    };
    if is_running {
        return Err(Failure::local(format!(
            "{} names the mesh at {}, which is running",
            path.display(),
            redacted_url(&url)
        ))
        .hint("use that mesh, or remove the file to start another mesh"));
    }
    Ok(())
}

async fn in_background(
    arguments: MeshUp,
    auth: Option<LocalAuth>,
    program: &str,
    printer: &Printer,
) -> Result<(), Failure> {
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
    if let Some(auth) = &auth {
        settings = settings.accounts(auth.store.accounts_config()?);
    }
    let server = settings.start().await.map_err(start_failure)?;
    if let Err(failure) = prepare(server.url(), auth.as_ref()).await {
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
        auth: auth.as_ref().map(StartedAuth::new),
    };
    announce(printer, &started).await?;
    if let Some(auth) = &auth
        && let Err(error) = monitor::start(program, server.url(), &auth.monitor, server.directory())
    {
        let creds = auth.monitor.to_string_lossy();
        printer.note(format!(
            "cannot start a monitor, which lists the agents of workers: {error}; run one with: oam mesh monitor --creds {}",
            shell::word(&creds)
        ));
    }
    printer.note("stop it with: oam mesh down");
    Ok(())
}

async fn in_foreground(
    arguments: MeshUp,
    auth: Option<LocalAuth>,
    printer: &Printer,
) -> Result<(), Failure> {
    let _listener = live::Listener::new();
    // One signal listener for both waits, so that no signal is lost between them.
    let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
    let directory = url_file::working_directory()?;
    let server = tokio::select! {
        server = Foreground::start(arguments, auth.as_ref(), &directory) => server?,
        signal = &mut signal => return Ok(signal?),
    };
    let started = Started {
        auth: auth.as_ref().map(StartedAuth::new),
        ..server.started(directory)
    };
    let path = tokio::select! {
        path = prepare(&started.url, auth.as_ref()) => path?,
        signal = &mut signal => {
            signal?;
            return server.stop().await;
        }
    };
    let mut served = announce(printer, &started).await;
    if served.is_ok() {
        printer.note("stop it with Ctrl-C");
        served = match &auth {
            None => signal.await.map_err(Failure::from),
            Some(auth) => {
                let monitor = run_monitor(&started.url, &auth.monitor, printer);
                tokio::select! {
                    signal = &mut signal => signal.map_err(Failure::from),
                    // Without a monitor the mesh stays up.
                    () = monitor => signal.await.map_err(Failure::from),
                }
            }
        };
    }
    // `oam mesh connect` may have replaced the URL since.
    url_file::remove_if_url(&path, &started.url)?;
    server.stop().await?;
    served
}

/// Runs a monitor until it fails, and prints the reason.
async fn run_monitor(url: &str, creds: &Path, printer: &Printer) {
    let running = async {
        let mesh = AgentMesh::builder()
            .url(url)
            .credentials(creds)
            .connect()
            .await?;
        mesh.monitor().run_until(CancellationToken::new()).await
    };
    if let Err(error) = running.await {
        printer.note(format!(
            "the monitor, which lists the agents of workers, has ended: {}",
            error.message()
        ));
    }
}

/// The servers that this process owns while it stays in the foreground.
enum Foreground {
    Server(Box<LocalServer>),
    Cluster(Box<LocalCluster>),
}

impl Foreground {
    async fn start(
        arguments: MeshUp,
        auth: Option<&LocalAuth>,
        directory: &Path,
    ) -> Result<Self, Failure> {
        if let Some(nodes) = arguments.cluster {
            let mut settings = LocalCluster::builder()
                .nodes(nodes)
                .port(arguments.port)
                .started_in(directory);
            if let Some(data) = arguments.data {
                settings = settings.data_directory(data);
            }
            if let Some(auth) = auth {
                settings = settings.accounts(auth.store.accounts_config()?);
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
        if let Some(auth) = auth {
            settings = settings.accounts(auth.store.accounts_config()?);
        }
        let server = settings.start().await.map_err(start_failure)?;
        Ok(Self::Server(Box::new(server)))
    }

    async fn stop(self) -> Result<(), Failure> {
        match self {
            Self::Server(server) => server.stop().await?,
            Self::Cluster(cluster) => cluster.stop().await?,
        }
        Ok(())
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
                auth: None,
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
                auth: None,
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
async fn prepare(url: &str, auth: Option<&LocalAuth>) -> Result<PathBuf, Failure> {
    let mut mesh = AgentMesh::builder().url(url);
    if let Some(auth) = auth {
        mesh = mesh.credentials(&auth.operator);
    }
    let mesh = mesh.connect().await?;
    let is_cluster = url.contains(',');
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    while let Err(failure) = create_buckets(&mesh, url, auth).await {
        let is_final = failure
            .code
            .as_ref()
            .is_some_and(|code| code != &ErrorCode::ConnectionFailed);
        if !is_cluster || is_final || Instant::now() >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(LEADERS_PAUSE).await;
    }
    mesh.shutdown().await?;
    match auth {
        None => url_file::write(url),
        Some(auth) => url_file::write_endpoint(url, Some(&auth.invoker)),
    }
}

/// Creates the buckets that are missing.
async fn create_buckets(
    mesh: &AgentMesh,
    url: &str,
    auth: Option<&LocalAuth>,
) -> Result<(), Failure> {
    mesh.create_buckets().await?;
    match auth {
        None => Ok(()),
        Some(auth) => buckets::prepare(url, &auth.operator).await,
    }
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
    if let Some(auth) = &started.auth
        && !printer.is_json()
    {
        let directory = on_one_line(&auth.directory.to_string_lossy());
        printer.line(format!("its users are in {directory}"))?;
        let operator = shell::word(&auth.operator.to_string_lossy()).into_owned();
        printer.note(format!(
            "commands here may call agents and read; to administer: --creds {operator}"
        ));
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
