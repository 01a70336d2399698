use std::path::{Path, PathBuf};

use openagentmesh::{AgentMesh, CREDENTIALS_VARIABLE, Endpoint, URL_FILE, redacted_url};
use openagentmesh_local::DetachedServer;
use serde::Serialize;

use crate::cli::MeshConnect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::url_file;

/// The result, for programs.
#[derive(Serialize)]
struct Connected<'a> {
    url: &'a str,
    file: &'a Path,
    credentials: Option<&'a Path>,
    replaced_url: Option<&'a str>,
}

pub(crate) async fn run(arguments: MeshConnect, printer: &Printer) -> Result<(), Failure> {
    let url = arguments.address.trim();
    let replaced = replaced(url).await?;

    let creds = match arguments.creds {
        None => kept_credentials(url)?,
        given => given,
    };

    let mut builder = AgentMesh::builder().url(url);
    if let Some(creds) = &creds {
        builder = builder.credentials(creds);
    }
    let mesh = builder.connect().await?;
    let path = url_file::write_endpoint(url, creds.as_deref())?;

    if printer.is_json() {
        printer.json(&Connected {
            url: mesh.url(),
            file: &path,
            credentials: creds.as_deref(),
            replaced_url: replaced.as_deref(),
        })?;
    } else {
        printer.line(format!(
            "connected to the mesh at {}; {} names it",
            mesh.url(),
            on_one_line(&path.to_string_lossy())
        ))?;
    }
    if let Some(before) = replaced {
        printer.note(format!("the file named the mesh at {before} before"));
    }
    if url_file::has_login(url) {
        printer.note("the file contains the login of the URL: keep it private");
    }
    if creds.is_none() && std::env::var_os(CREDENTIALS_VARIABLE).is_some() {
        printer.note(format!(
            "the credentials come from {CREDENTIALS_VARIABLE}; --creds FILE stores their path in {URL_FILE}"
        ));
    }
    url_file::note_overriding_variable(printer, url);
    mesh.shutdown().await?;
    Ok(())
}

/// The credentials file that an `.oam-url` names for the same mesh: the new file names it too.
fn kept_credentials(url: &str) -> Result<Option<PathBuf>, Failure> {
    if std::env::var_os(CREDENTIALS_VARIABLE).is_some() {
        return Ok(None);
    }
    Ok(Endpoint::resolve(Some(url), None)?.credentials)
}

/// The redacted URL of another mesh that the `.oam-url` of this directory names.
///
/// Fails if `oam mesh up` started that mesh: without the file, `oam mesh down` would not find it.
async fn replaced(url: &str) -> Result<Option<String>, Failure> {
    let path = url_file::working_directory()?.join(URL_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let before = Endpoint::from_file(&path)?.url;
    if before == url {
        return Ok(None);
    }
    let Some(running) = DetachedServer::find_by_url(&before).await? else {
        return Ok(Some(redacted_url(&before)));
    };
    match DetachedServer::find_by_url(url).await? {
        Some(same) if same.pid() == running.pid() => Ok(None),
        _ => Err(Failure::local(format!(
            "{} names the mesh running at {} and would be overwritten",
            path.display(),
            running.url()
        ))
        .hint("stop that mesh first: oam mesh down; or connect in another directory")),
    }
}
