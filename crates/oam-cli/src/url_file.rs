//! The `.oam-url` that `oam mesh up` writes and `oam mesh down` removes.

use std::io::ErrorKind;
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
