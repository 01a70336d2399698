use std::path::{Path, PathBuf};

use openagentmesh::{Endpoint, EndpointSource, MeshContext, MeshContexts, redacted_url};
use serde::Serialize;

use super::{Shown, note_precedence};
use crate::cli::ContextAdd;
use crate::contexts::{self, NewContext};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::url_file;

#[derive(Serialize)]
struct Added<'a> {
    #[serde(flatten)]
    context: Shown<'a>,
    file: &'a Path,
}

pub(crate) async fn run(arguments: ContextAdd, printer: &Printer) -> Result<(), Failure> {
    MeshContext::check_name(&arguments.name)?;
    let context = NewContext {
        name: arguments.name,
        url: checked(arguments.address.trim())?,
        creds: arguments.creds.as_deref().map(stored_path).transpose()?,
        description: arguments.description.filter(|text| !text.is_empty()),
    };
    let name = context.name.clone();
    let (replaces, selects) = (arguments.replace, arguments.selects);
    let (path, ()) = contexts::change(move |document| {
        let is_known = document.contexts.names().any(|known| known == context.name);
        if is_known && !replaces {
            return Err(known(&document.contexts, &context.name));
        }
        document.put(&context);
        if selects {
            document.select(Some(&context.name));
        }
        Ok(())
    })
    .await?;

    let stored = MeshContexts::read()?;
    let context = stored.get(&name)?;
    let shown = Shown::new(&context, stored.selected());
    if printer.is_json() {
        printer.json(&Added {
            context: shown,
            file: &path,
        })?;
    } else {
        let verb = if selects {
            "added and selected"
        } else {
            "added"
        };
        printer.line(format!("{verb} context {name}: {}", shown.url))?;
    }
    if url_file::has_login(&context.url) {
        printer.note(format!(
            "the login of the URL is stored in {}, which only you can read",
            on_one_line(&path.to_string_lossy())
        ));
    }
    if let Some(creds) = &context.credentials
        && !creds.is_file()
    {
        printer.note(format!(
            "{} does not exist yet; the context needs it",
            on_one_line(&creds.to_string_lossy())
        ));
    }
    match selects {
        true => note_precedence(printer, &name),
        false => printer.hint_for_people(&format!("oam context use {name} selects it")),
    }
    Ok(())
}

/// The error of a name that is taken.
fn known(contexts: &MeshContexts, name: &str) -> Failure {
    let place = match contexts.get(name) {
        Ok(context) => format!("names {}", redacted_url(&context.url)),
        Err(_) => "is malformed".to_owned(),
    };
    Failure::local(format!("context '{name}' exists: it {place}")).hint("--replace replaces it")
}

fn checked(url: &str) -> Result<String, Failure> {
    let endpoint = Endpoint {
        url: url.to_owned(),
        credentials: None,
        source: EndpointSource::Explicit,
    };
    endpoint.check_url()?;
    Ok(endpoint.url)
}

/// The path of a credentials file that means the same in every directory.
fn stored_path(path: &Path) -> Result<String, Failure> {
    let path: PathBuf = match path.starts_with("~") {
        true => path.to_owned(),
        false => url_file::absolute(path)?,
    };
    path.into_os_string().into_string().map_err(|path| {
        Failure::usage(format!(
            "invalid path {}: only UTF-8 is allowed; rename the file",
            path.display()
        ))
    })
}
