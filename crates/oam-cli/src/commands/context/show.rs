use std::path::Path;

use openagentmesh::{EndpointSource, MeshContexts, redacted_url};
use serde::Serialize;

use super::{Shown, get};
use crate::cli::ContextShow;
use crate::connection;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::url_file::has_login;

/// The mesh that commands use.
#[derive(Serialize)]
struct InUse<'a> {
    #[serde(flatten)]
    mesh: Shown<'a>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
}

#[derive(Serialize)]
struct Stored<'a> {
    #[serde(flatten)]
    context: Shown<'a>,
    file: &'a Path,
}

pub(crate) fn run(arguments: ContextShow, printer: &Printer) -> Result<(), Failure> {
    let Some(name) = &arguments.name else {
        return in_use(&arguments, printer);
    };
    let contexts = MeshContexts::read()?;
    let context = get(&contexts, name)?;
    let context = Shown::new(&context, contexts.selected());
    if printer.is_json() {
        let file = contexts.path();
        return printer.json(&Stored { context, file });
    }
    fields(&context, printer)?;
    printer.field("selected", if context.selected { "yes" } else { "no" })
}

fn in_use(arguments: &ContextShow, printer: &Printer) -> Result<(), Failure> {
    let endpoint = connection::endpoint(&arguments.target)?;
    let name = endpoint.source.context();
    let contexts = name.map(|_| MeshContexts::read()).transpose()?;
    let context = match (name, &contexts) {
        (Some(name), Some(contexts)) => Some(contexts.get(name)?),
        _ => None,
    };
    let selected = contexts.as_ref().and_then(MeshContexts::selected);
    let mesh = Shown {
        name,
        url: redacted_url(&endpoint.url),
        login: has_login(&endpoint.url),
        creds: endpoint.credentials.as_deref(),
        description: context
            .as_ref()
            .and_then(|context| context.description.as_deref()),
        selected: name.is_some() && name == selected,
    };
    if printer.is_json() {
        let file = match &endpoint.source {
            EndpointSource::File(path) => Some(&**path),
            _ => None,
        };
        return printer.json(&InUse {
            mesh,
            source: endpoint.source.kind(),
            file,
        });
    }
    fields(&mesh, printer)?;
    printer.field("source", on_one_line(&endpoint.source.to_string()))
}

fn fields(mesh: &Shown<'_>, printer: &Printer) -> Result<(), Failure> {
    printer.field("context", mesh.name.unwrap_or("none"))?;
    printer.field("url", on_one_line(&mesh.url_with_login()))?;
    let creds = mesh.creds.map(|path| path.display().to_string());
    printer.field(
        "credentials",
        on_one_line(creds.as_deref().unwrap_or("none")),
    )?;
    match mesh.description {
        Some(description) => printer.field("description", on_one_line(description)),
        None => Ok(()),
    }
}
