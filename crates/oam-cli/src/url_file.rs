//! The `.oam-url` that `oam mesh up` writes and `oam mesh down` removes.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openagentmesh::{Endpoint, URL_FILE, URL_VARIABLE};

use crate::failure::Failure;

/// The file that names the mesh for commands typed here, and what it names.
pub(crate) fn nearest() -> Result<Option<(PathBuf, String)>, Failure> {
    // The variable goes before the file, but says nothing of what was started here.
    let Some(path) = Endpoint::nearest_file(&working_directory()?) else {
        return Ok(None);
    };
    let url = Endpoint::from_file(&path)?.url;
    Ok(Some((path, url)))
}

/// Names the mesh at `url` for this directory and those below it.
pub(crate) fn write(url: &str) -> Result<PathBuf, Failure> {
    let path = working_directory()?.join(URL_FILE);
    std::fs::write(&path, format!("{url}\n")).map_err(|error| {
        Failure::here(format!(
            "the mesh is at {url}, but {} cannot be written: {error}",
            path.display()
        ))
        .hint(format!(
            "name the mesh to other commands with {URL_VARIABLE}={url}"
        ))
    })?;
    Ok(path)
}

/// Whether `url` can be of a mesh that `oam mesh up` started: one on this machine. A file that
/// names any other was written by a person, and is theirs to remove.
pub(crate) fn is_local(url: &str) -> bool {
    url.split(',').all(|url| {
        let authority = url.rsplit_once("://").map_or(url, |(_, rest)| rest).trim();
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

/// Removes the file; it is fine if it is gone already.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::here(format!(
            "{} cannot be removed: {error}",
            path.display()
        ))
        .hint("remove it by hand: it names a mesh that is gone")),
        _ => Ok(()),
    }
}

pub(crate) fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .map_err(|error| Failure::here(format!("the working directory is gone: {error}")))
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_is_local() {
        for url in [
            "nats://127.0.0.1:4222",
            "nats://localhost:1",
            "127.1.2.3:1",
            "ws://[::1]:1",
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
}
