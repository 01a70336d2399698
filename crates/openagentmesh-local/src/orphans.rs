//! Clean-up of servers whose owner was killed.
//!
//! The watchdog normally does this. The code here covers a watchdog that was killed, was not started
//! yet, or is not finished.

use std::path::PathBuf;
use std::time::Duration;

use crate::LocalError;
use crate::background::Cancellation;
use crate::directory::{FileLock, OwnedDirectory, create_private, server_directories};
use crate::home::Home;
use crate::process::end_servers_of;
use openagentmesh_name::Visible;

/// Maximum wait for other processes that create or scan directories. Each needs milliseconds.
const SCAN_LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// Creates a directory for a new server, and ends the servers of owners that are gone.
pub(crate) fn create_directory(
    home: &Home,
    cancellation: &Cancellation,
) -> Result<OwnedDirectory, LocalError> {
    let parent = home.owned_servers();
    create_private(&parent)?;
    let (directory, orphans) = {
        // Claims need the lock: without it, a directory that its owner is just creating looks
        // abandoned. Ending processes takes longer and does not need the lock.
        let _scan = FileLock::acquire(&parent.join(".lock"), SCAN_LOCK_TIMEOUT, cancellation)?;
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
            Err(failure) => {
                tracing::warn!(failure = %Visible(&failure), "cannot determine whether a local server has an owner")
            }
        }
    }
    orphans
}

/// Ends an abandoned server and removes its directory. A failure is only logged: it does not affect
/// the server being started, and the next start tries again.
fn clean_up(orphan: OwnedDirectory) {
    tracing::debug!(directory = %Visible(orphan.path().display()), "cleaning up an abandoned local server");
    // The data is removed anyway, so the server is killed without a grace period.
    match end_servers_of(orphan.path(), Duration::ZERO) {
        Ok(()) => {
            if let Err(failure) = orphan.remove() {
                tracing::warn!(failure = %Visible(&failure), "cannot remove the directory of an abandoned local server");
            }
        }
        Err(failure) => {
            tracing::warn!(failure = %Visible(&failure), "cannot end an abandoned local server");
            orphan.release();
        }
    }
}
