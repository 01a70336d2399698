//! `oam context`: meshes by name, with their credentials.

pub(super) mod add;
pub(super) mod list;
pub(super) mod remove;
pub(super) mod select;
pub(super) mod show;

use std::path::Path;

use openagentmesh::{
    Endpoint, EndpointSource, Error, ErrorCode, MeshContext, MeshContexts, URL_FILE, redacted_url,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::{hint, similar, url_file};

/// A context as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    name: Option<&'a str>,
    url: String,
    /// Whether the URL has a login, which is not shown.
    login: bool,
    creds: Option<&'a Path>,
    description: Option<&'a str>,
    selected: bool,
}

impl<'a> Shown<'a> {
    fn new(context: &'a MeshContext, selected: Option<&str>) -> Self {
        Self {
            name: Some(&context.name),
            url: redacted_url(&context.url),
            login: url_file::has_login(&context.url),
            creds: context.credentials.as_deref(),
            description: context.description.as_deref(),
            selected: selected == Some(context.name.as_str()),
        }
    }

    /// The URL for people.
    fn url_with_login(&self) -> String {
        match self.login {
            true => format!("{} (with a login)", self.url),
            false => self.url.clone(),
        }
    }
}

/// The context `name`; the exit code of a missing one is that of `not_found`.
fn get(contexts: &MeshContexts, name: &str) -> Result<MeshContext, Failure> {
    contexts
        .get(name)
        .map_err(|error| not_found_or(contexts, name, error))
}

fn not_found_or(contexts: &MeshContexts, name: &str, error: Error) -> Failure {
    match MeshContext::check_name(name).is_ok() && !contexts.names().any(|known| known == name) {
        true => {
            let failure = Failure::mesh(ErrorCode::NotFound, error.message());
            hint::with_similar(failure, name, similar::similar(name, contexts.names()))
        }
        false => error.into(),
    }
}

/// Prints a note if a command here does not use the context `name`, although it is selected.
fn note_precedence(printer: &Printer, name: &str) {
    let Ok(endpoint) = Endpoint::resolve(None, None) else {
        return;
    };
    let remedy = match &endpoint.source {
        EndpointSource::Variable | EndpointSource::ContextVariable(_) => {
            let variable = match &endpoint.source {
                EndpointSource::Variable => openagentmesh::URL_VARIABLE,
                _ => openagentmesh::CONTEXT_VARIABLE,
            };
            format!("{variable} is set and takes precedence; unset it to use the context")
        }
        EndpointSource::File(path) => format!(
            "{} takes precedence in this directory; --context {name} goes before {URL_FILE}",
            path.display()
        ),
        _ => return,
    };
    printer.note(format!(
        "commands here use the mesh at {}: {remedy}",
        redacted_url(&endpoint.url)
    ));
}
