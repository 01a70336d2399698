//! The search for an existing `nats-server`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::nats_server::NatsServer;
use super::probe;
use crate::home::Home;
use crate::platform::SERVER_FILE_NAME;
use crate::{LocalError, background};
use openagentmesh_name::Visible;

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) server: Option<NatsServer>,
    pub(super) rejected: Vec<Rejected>,
}

/// An existing program that is unusable.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// Searches for a usable program: only at `named` if given, else in the directories of
/// `search_path`, then at the installation path in `home`.
pub(super) async fn find(
    named: Option<&OsStr>,
    search_path: &OsStr,
    home: &Home,
) -> Result<Found, LocalError> {
    if let Some(named) = named {
        let named = Path::new(named);
        let path = std::path::absolute(named).map_err(LocalError::io("resolve", named))?;
        return match probe::probe(&path).await {
            Ok(version) => Ok(Found {
                server: Some(NatsServer { path, version }),
                rejected: Vec::new(),
            }),
            Err(reason) => Err(LocalError::NamedServerUnusable { path, reason }),
        };
    }

    let search_path = search_path.to_owned();
    let installed = home.installed_server();
    let candidates = background::run(move |_| {
        let mut candidates = on_path(&search_path, SERVER_FILE_NAME);
        if installed.is_file() && !candidates.contains(&installed) {
            candidates.push(installed);
        }
        Ok(candidates)
    })
    .await?;

    let mut found = Found::default();
    for path in candidates {
        match probe::probe(&path).await {
            Ok(version) => {
                found.server = Some(NatsServer { path, version });
                break;
            }
            Err(reason) => {
                tracing::warn!(path = %Visible(path.display()), reason, "skipping an unusable nats-server");
                found.rejected.push(Rejected { path, reason });
            }
        }
    }
    Ok(found)
}

/// The files called `name` in the directories of `search_path`, in order and without duplicates.
pub(super) fn on_path(search_path: &OsStr, name: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for directory in std::env::split_paths(search_path) {
        if directory.as_os_str().is_empty() {
            continue;
        }
        let Ok(file) = std::path::absolute(directory.join(name)) else {
            continue;
        };
        if file.is_file() && !files.contains(&file) {
            files.push(file);
        }
    }
    files
}
