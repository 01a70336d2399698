//! Servers whose owner was killed before it could stop them, and whose watchdog did not see to it:
//! it was killed, too, or not started yet, or is just doing it.

use std::path::PathBuf;
use std::time::Duration;

use crate::LocalError;
use crate::background::Cancellation;
use crate::directory::{FileLock, OwnedDirectory, create_private, server_directories};
use crate::home::Home;
use crate::process::end_servers_of;

/// How long to wait for others that are just creating or looking through directories. Each of
/// them needs a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Creates a directory for a new server and cleans up after owners that are gone.
pub(crate) fn create_directory(
    home: &Home,
    cancellation: &Cancellation,
) -> Result<OwnedDirectory, LocalError> {
    let parent = home.owned_servers();
    create_private(&parent)?;
    let (directory, orphans) = {
        // Claims are made under this lock, so that nobody takes a directory for abandoned whose
        // owner is just creating it. Ending processes may take longer and happens without it.
        let _scan = FileLock::acquire(&parent.join(".lock"), PATIENCE, cancellation)?;
        let orphans = claim_orphans(server_directories(&parent)?);
        (OwnedDirectory::create(&parent)?, orphans)
    };
    for orphan in orphans {
        clean_up(orphan);
    }
    Ok(directory)
}

fn claim_orphans(directories: Vec<PathBuf>) -> Vec<OwnedDirectory> {
    let mut orphans = Vec::new();
    for path in directories {
        match OwnedDirectory::claim(path) {
            Ok(claimed) => orphans.extend(claimed),
            Err(failure) => tracing::warn!(%failure, "cannot tell if a local server has an owner"),
        }
    }
    orphans
}

/// Ends an abandoned server and removes its directory. A failure does not concern the server that
/// is being started; the next start tries again.
fn clean_up(orphan: OwnedDirectory) {
    tracing::debug!(directory = %orphan.path().display(), "cleaning up an abandoned local server");
    // Its data goes with it, so there is nothing that an orderly end would save.
    match end_servers_of(orphan.path(), Duration::ZERO) {
        Ok(()) => {
            if let Err(failure) = orphan.remove() {
                tracing::warn!(%failure, "an abandoned local server's directory stays");
            }
        }
        Err(failure) => {
            tracing::warn!(%failure, "an abandoned local server could not be ended");
            orphan.release();
        }
    }
}
