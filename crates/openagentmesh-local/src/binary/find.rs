//! Looking for a `nats-server` that is already there.

use std::path::{Path, PathBuf};

use super::{NatsServer, NatsServerSearch, probe};
use crate::home::Home;
use crate::platform::SERVER_FILE_NAME;
use crate::{LocalError, background};

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) server: Option<NatsServer>,
    pub(super) passed_over: Vec<PassedOver>,
}

/// A program that is there but cannot be used.
#[derive(Debug)]
pub(super) struct PassedOver {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// Looks where [`NatsServerSearch`] says.
pub(super) async fn find(search: &NatsServerSearch, home: &Home) -> Result<Found, LocalError> {
    if let Some(named) = &search.named {
        let named = Path::new(named);
        let path = std::path::absolute(named).map_err(LocalError::io("find", named))?;
        return match probe::probe(&path).await {
            Ok(version) => Ok(Found {
                server: Some(NatsServer { path, version }),
                passed_over: Vec::new(),
            }),
            Err(reason) => Err(LocalError::NamedServerUnusable { path, reason }),
        };
    }

    let search_path = search.search_path.clone();
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
                tracing::warn!(path = %path.display(), reason, "passing over a nats-server");
                found.passed_over.push(PassedOver { path, reason });
            }
        }
    }
    Ok(found)
}

/// The files called `name` in the directories of `search_path`, in order, each path once.
pub(super) fn on_path(search_path: &std::ffi::OsStr, name: &str) -> Vec<PathBuf> {
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
