//! The file `.oam-url`: `oam mesh up` and `oam mesh connect` write it, `oam mesh down` removes it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openagentmesh::{CONTEXT_VARIABLE, Endpoint, URL_FILE, URL_VARIABLE, redacted_url};
use serde::Serialize;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::private_file;

/// The nearest `.oam-url` in or above the working directory, and the URL in it.
pub(crate) fn nearest() -> Result<Option<(PathBuf, String)>, Failure> {
    // OAM_URL takes precedence for a connection, but does not tell which mesh was started here.
    let Some(path) = Endpoint::nearest_file(&working_directory()?) else {
        return Ok(None);
    };
    let url = Endpoint::from_file(&path)?.url;
    Ok(Some((path, url)))
}

/// Writes `url` into the `.oam-url` of the working directory.
pub(crate) fn write(url: &str) -> Result<PathBuf, Failure> {
    let directory = working_directory()?;
    let path = directory.join(URL_FILE);
    std::fs::write(&path, format!("{url}\n")).map_err(|error| {
        Failure::local(format!(
            "the mesh is up at {url}, but cannot write {}: {error}",
            path.display()
        ))
        .hint(format!("set {URL_VARIABLE}={url} for other commands"))
    })?;
    warn_if_passed_over(&directory);
    Ok(path)
}

/// Writes `url` and the path of the credentials file into the `.oam-url` of the working directory.
pub(crate) fn write_endpoint(url: &str, creds: Option<&Path>) -> Result<PathBuf, Failure> {
    #[derive(Serialize)]
    struct UrlFile<'a> {
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        creds: Option<PathBuf>,
    }

    let directory = working_directory()?;
    let path = directory.join(URL_FILE);
    let text = match creds {
        // A URL without a scheme would be read as TOML.
        None if url.contains("://") => format!("{url}\n"),
        _ => {
            let creds = match creds {
                // The home directory of the user who reads the file.
                Some(creds) if creds.starts_with("~") => Some(creds.to_owned()),
                Some(creds) => Some(relative_to(&directory, creds)?),
                None => None,
            };
            toml::to_string(&UrlFile { url, creds }).map_err(|error| {
                Failure::usage(format!("cannot write {URL_FILE} as TOML: {error}"))
            })?
        }
    };
    write_private_if(has_login(url), &path, &text)
        .map_err(|error| Failure::local(format!("cannot write {}: {error}", path.display())))?;
    warn_if_passed_over(&directory);
    Ok(path)
}

/// Logs a warning if all users can replace the file that was just written: commands pass it over.
fn warn_if_passed_over(directory: &Path) {
    drop(Endpoint::nearest_file(directory));
}

/// The path of `file`, relative to `directory` if the file is below it: then both can be moved
/// together.
fn relative_to(directory: &Path, file: &Path) -> Result<PathBuf, Failure> {
    let absolute = absolute(file)?;
    let directory = directory.canonicalize().map_err(not_found(file))?;
    Ok(match absolute.strip_prefix(&directory) {
        Ok(below) => below.to_owned(),
        Err(_) => absolute,
    })
}

/// The path of `file` from the root, through an existing directory.
pub(crate) fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    // The file itself is not resolved: it may be a link that is replaced on rotation.
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(Failure::usage(format!(
            "invalid path {}: no file name",
            file.display()
        )));
    };
    let parent = working_directory()?.join(parent);
    Ok(parent.canonicalize().map_err(not_found(file))?.join(name))
}

fn not_found(file: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::usage(format!("{} cannot be found: {error}", file.display()))
}

/// Writes `text`. A secret is readable only by its owner before the first byte is written.
fn write_private_if(secret: bool, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    if secret && let Err(error) = private_file::restrict(path) {
        // An empty file would be malformed for later commands.
        drop(file);
        std::fs::remove_file(path)?;
        return Err(error);
    }
    file.write_all(text.as_bytes())
}

/// Prints a note if `OAM_URL` or `OAM_CONTEXT` selects another mesh than the one at `url`.
pub(crate) fn note_overriding_variable(printer: &Printer, url: &str) {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (variable, value) = match (set(URL_VARIABLE), set(CONTEXT_VARIABLE)) {
        (Some(other), _) => (URL_VARIABLE, redacted_url(&other)),
        (None, Some(context)) => (CONTEXT_VARIABLE, context),
        (None, None) => return,
    };
    // A context that cannot be resolved fails later commands.
    if Endpoint::resolve(None, None).is_ok_and(|endpoint| endpoint.url == url) {
        return;
    }
    printer.note(format!(
        "{variable} is set to {value} and takes precedence over {URL_FILE}; unset it to use this mesh"
    ));
}

/// Whether the URL contains a user, a password or a token.
pub(crate) fn has_login(url: &str) -> bool {
    url.split(',').any(|url| split_login(url).1.is_some())
}

/// Scheme, login, and the rest of a single URL.
fn split_login(url: &str) -> (Option<&str>, Option<&str>, &str) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    match rest.rsplit_once('@') {
        Some((login, host)) => (scheme, Some(login), host),
        None => (scheme, None, rest),
    }
}

/// Whether `url` is on this machine, as every mesh of `oam mesh up` is. A file with any other URL
/// was written by a person, who must remove it.
pub(crate) fn is_local(url: &str) -> bool {
    url.split(',').all(|url| {
        let (_, _, authority) = split_login(url.trim());
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

/// Removes the file if it still contains `url`.
pub(crate) fn remove_if_url(path: &Path, url: &str) -> Result<(), Failure> {
    match Endpoint::from_file(path) {
        Ok(endpoint) if endpoint.url == url => remove(path),
        _ => Ok(()),
    }
}

/// Removes the file. A missing file is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::local(format!(
            "cannot remove {}: {error}",
            path.display()
        ))
        .hint("remove it by hand: the mesh in it is stopped")),
        _ => Ok(()),
    }
}

pub(crate) fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .map_err(|error| Failure::local(format!("cannot read the working directory: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{has_login, is_local};

    #[test]
    fn url_of_loopback_is_local() {
        for url in [
            "nats://127.0.0.1:4222",
            "nats://localhost:1",
            "127.1.2.3:1",
            "ws://[::1]:1",
            "nats://user:secret@127.0.0.1:1",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "nats://192.0.2.1:4222",
            "nats://localhost.example:1",
            "nats://127.0.0.1.example:1",
            "tls://user@mesh.example:4222",
            "nats://127.0.0.1:1,nats://mesh.example:1",
            "nats://mesh.example:1,nats://127.0.0.1:1",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn login_is_noticed() {
        for url in [
            "nats://user:p@ss@host:1",
            "token@host:1",
            "nats://a:1, tls://t@b:2",
        ] {
            assert!(has_login(url), "{url}");
        }
        assert!(!has_login("nats://a:1,b:2"));
    }
}
