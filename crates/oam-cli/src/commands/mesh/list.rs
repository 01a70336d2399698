use std::path::{Path, PathBuf};

use openagentmesh_local::RunningMesh;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::MeshList;
use crate::connection::endpoint;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::Column;
use crate::text::{time, timestamp};

const COLUMNS: [Column; 6] = [
    Column::whole("", 1),
    Column::key("URL"),
    Column::text("DIRECTORY", 2),
    Column::whole("SINCE", 4),
    Column::text("DATA", 3),
    Column::whole("PID", 5),
];

/// A mesh, for programs.
#[derive(Serialize)]
struct Listed<'m> {
    url: &'m str,
    directory: &'m Path,
    since: String,
    data: Option<&'m Path>,
    pids: Vec<u32>,
    version: &'m str,
    logs: Vec<PathBuf>,
    foreground: bool,
    selected: bool,
}

pub(crate) async fn run(arguments: MeshList, printer: &Printer) -> Result<(), Failure> {
    let meshes = RunningMesh::list().await?;
    // A malformed file selects no mesh, and the list does not need one.
    let selected = endpoint(&arguments.target).ok();
    let is_selected = |mesh: &RunningMesh| {
        let url = selected.as_ref().map(|endpoint| &*endpoint.url);
        url.is_some_and(|url| mesh.has_url(url))
    };
    if printer.is_json() {
        let listed = meshes.iter().map(|mesh| Listed {
            url: mesh.url(),
            directory: mesh.started_in(),
            since: timestamp(OffsetDateTime::from(mesh.started_at())),
            data: mesh.data_directory(),
            pids: mesh.pids(),
            version: mesh.version(),
            logs: mesh.logs().into_iter().map(|log| log.path).collect(),
            foreground: mesh.is_foreground(),
            selected: is_selected(mesh),
        });
        return printer.json(&listed.collect::<Vec<_>>());
    }
    if meshes.is_empty() {
        printer.note("no mesh of oam mesh up is running on this machine");
        return Ok(());
    }
    let rows = meshes.iter().map(|mesh| {
        let mark = if is_selected(mesh) { "*" } else { "" };
        let pids: Vec<String> = mesh.pids().iter().map(u32::to_string).collect();
        [
            mark.to_owned(),
            short_url(mesh.url()),
            mesh.started_in().to_string_lossy().into_owned(),
            time(OffsetDateTime::from(mesh.started_at())),
            mesh.data_directory().map_or_else(
                || "temporary".to_owned(),
                |data| data.to_string_lossy().into_owned(),
            ),
            pids.join(","),
        ]
    });
    printer.table(COLUMNS, rows)
}

/// The URL; of a cluster that of the first server, and the number of the others.
fn short_url(urls: &str) -> String {
    match urls.split_once(',') {
        Some((first, others)) => format!("{first} +{}", others.split(',').count()),
        None => urls.to_owned(),
    }
}
