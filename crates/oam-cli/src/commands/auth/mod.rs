//! `oam auth`: keys, users and permissions of a mesh.

pub(super) mod buckets;
pub(super) mod explain;
pub(super) mod init;
pub(super) mod local;
mod reload;
pub(super) mod server_conf;
mod shown;
pub(super) mod user;
pub(super) mod whoami;

use std::path::PathBuf;

use openagentmesh_auth::{AuthError, Store};

use crate::cli::AuthStore;
use crate::failure::Failure;
use crate::similar;

/// The directory of the keys of the mesh `name`.
pub(super) fn directory_of(name: &str) -> Result<PathBuf, Failure> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home = home.ok_or_else(|| {
        Failure::local("home directory unknown: ~/.agentmesh has no location").hint(
            "set HOME (on Windows USERPROFILE) to a writable directory, or name one with --dir",
        )
    })?;
    Ok(home.join(".agentmesh").join("auth").join(name))
}

/// The directory that the arguments name.
fn directory(store: &AuthStore) -> Result<PathBuf, Failure> {
    match &store.dir {
        Some(directory) => Ok(directory.clone()),
        None => directory_of(&store.mesh),
    }
}

/// The store that the arguments name.
fn open(store: &AuthStore) -> Result<Store, Failure> {
    Ok(Store::open(&directory(store)?)?)
}

/// The failure, with the names that were perhaps meant.
fn with_similar_users(error: AuthError, store: &Store) -> Failure {
    let name = match &error {
        AuthError::UserNotFound { name } => name.clone(),
        _ => return error.into(),
    };
    let users = store.users().unwrap_or_default();
    let names = users.iter().map(|user| user.name.as_str());
    let similar = similar::similar(&name, names);
    crate::hint::with_similar(error.into(), &name, similar)
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::UserNotFound { .. } => {
                Self::mesh(openagentmesh::ErrorCode::NotFound, error.to_string())
            }
            AuthError::Invalid { .. }
            | AuthError::InvalidGrants { .. }
            | AuthError::FileExists { .. }
            | AuthError::TooLarge { .. } => Self::usage(error.to_string()),
            _ => Self::local(error.to_string()),
        }
    }
}
