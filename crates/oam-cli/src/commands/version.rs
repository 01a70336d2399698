//! `oam version`.

use std::time::Duration;

use openagentmesh::SDK_VERSION;
use openagentmesh_local::{NatsServer, NatsServerSearch};
use serde::Serialize;

use crate::cli::{Target, Version};
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::protocol::PROTOCOL_VERSION;
use crate::text::on_one_line;

/// The limit of the wait for the mesh.
const MESH_TIMEOUT: Duration = Duration::from_secs(1);

/// All versions, for programs.
#[derive(Debug, Serialize)]
struct Versions<'v> {
    oam: &'v str,
    protocol: &'v str,
    sdk: &'v str,
    nats_server: NatsServerVersions<'v>,
    mesh: Option<Mesh>,
}

#[derive(Debug, Serialize)]
struct NatsServerVersions<'v> {
    installs: &'v str,
    found: Option<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    version: String,
    path: String,
}

/// The mesh that the arguments or the environment select.
#[derive(Debug, Serialize)]
struct Mesh {
    url: Option<String>,
    server_version: Option<String>,
    problem: Option<String>,
}

pub(crate) async fn run(arguments: Version, printer: &Printer) -> Result<(), Failure> {
    // An unusable program is reported by the commands that need it.
    let found = NatsServerSearch::new().find().await.ok().flatten();
    let mesh = match arguments.client {
        true => None,
        false => Some(mesh(arguments.target).await),
    };
    let versions = Versions {
        oam: env!("CARGO_PKG_VERSION"),
        protocol: PROTOCOL_VERSION,
        sdk: SDK_VERSION,
        nats_server: NatsServerVersions {
            installs: NatsServerSearch::INSTALLS_VERSION,
            found: found.as_ref().map(Found::from),
        },
        mesh,
    };
    if printer.is_json() {
        return printer.json(&versions);
    }
    print(&versions, printer)
}

impl From<&NatsServer> for Found {
    fn from(server: &NatsServer) -> Self {
        Self {
            version: server.version().to_string(),
            path: server.path().to_string_lossy().into_owned(),
        }
    }
}

/// Asks the mesh for the version of its server.
async fn mesh(target: Target) -> Mesh {
    let asking = async {
        let mesh = connect(target).await?;
        let url = mesh.url().to_owned();
        Ok::<_, Failure>((url, mesh.inspect().await?.server.version))
    };
    let problem = match tokio::time::timeout(MESH_TIMEOUT, asking).await {
        Ok(Ok((url, version))) => {
            return Mesh {
                url: Some(url),
                server_version: Some(version),
                problem: None,
            };
        }
        Ok(Err(failure)) => failure.message,
        Err(_) => format!("no answer within {MESH_TIMEOUT:?}"),
    };
    Mesh {
        url: None,
        server_version: None,
        problem: Some(problem),
    }
}

fn print(versions: &Versions<'_>, printer: &Printer) -> Result<(), Failure> {
    printer.field("oam", versions.oam)?;
    printer.field("protocol", versions.protocol)?;
    printer.field("SDK", versions.sdk)?;
    let NatsServerVersions { installs, found } = &versions.nats_server;
    let found = match found {
        Some(found) => {
            format!("{}, {}", found.version, on_one_line(&found.path))
        }
        None => format!("not installed; oam mesh up installs {installs}"),
    };
    printer.field("nats-server", found)?;
    match &versions.mesh {
        None => Ok(()),
        Some(Mesh {
            url: Some(url),
            server_version: Some(version),
            ..
        }) => {
            let server = format!("nats-server {version} at {url}");
            printer.field("mesh", on_one_line(&server))
        }
        Some(Mesh { problem, .. }) => {
            let problem = problem.as_deref().unwrap_or_default();
            printer.field("mesh", on_one_line(&format!("none: {problem}")))
        }
    }
}
