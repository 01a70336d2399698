use openagentmesh::{AgentMesh, CREDENTIALS_VARIABLE, Endpoint, URL_FILE};
use openagentmesh_local::DetachedServer;

use crate::cli::MeshConnect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::url_file;

pub(crate) async fn run(arguments: MeshConnect, printer: &Printer) -> Result<(), Failure> {
    let url = arguments.url.trim();
    let replaced = replaced(url).await?;

    let mut builder = AgentMesh::builder().url(url);
    if let Some(creds) = &arguments.creds {
        builder = builder.credentials(creds);
    }
    let mesh = builder.connect().await?;
    let path = url_file::write_endpoint(url, arguments.creds.as_deref())?;

    printer.line(format!(
        "the mesh at {} answers, and {} names it",
        mesh.url(),
        path.display()
    ));
    if let Some(before) = replaced {
        printer.note(format!("it named the mesh at {before} before"));
    }
    if url_file::has_login(url) {
        printer.note("it holds the login that stands in the URL: keep it to yourself");
    }
    if arguments.creds.is_none() && std::env::var_os(CREDENTIALS_VARIABLE).is_some() {
        printer.note(format!(
            "the credentials came from {CREDENTIALS_VARIABLE}; --creds FILE names them in {URL_FILE}"
        ));
    }
    url_file::note_other_variable(printer, url);
    mesh.shutdown().await?;
    Ok(())
}

/// The other mesh that the file here names, fit to be shown.
///
/// A mesh that `oam mesh up` started here is not left behind with nothing that names it: without
/// the file, `oam mesh down` would not find it.
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
        return Ok(Some(url_file::shown(&before)));
    };
    match DetachedServer::find_by_url(url).await? {
        Some(same) if same.pid() == running.pid() => Ok(None),
        _ => Err(Failure::here(format!(
            "{} names the mesh that runs at {} and would be overwritten",
            path.display(),
            running.url()
        ))
        .hint("stop that mesh first: oam mesh down; or connect in another directory")),
    }
}
