//! The users that `oam mesh up --auth` makes for itself.

use std::path::PathBuf;

use openagentmesh_auth::{
    AuthError, Credentials, CredentialsFile, Grants, Role, Store, UserName, UserState,
};

use super::directory_of;
use crate::failure::Failure;

/// A mesh with users on this machine: the store, and the credentials of the users that the command makes.
#[derive(Debug)]
pub(in crate::commands) struct LocalAuth {
    pub(in crate::commands) store: Store,
    /// Creates the buckets, and administers.
    pub(in crate::commands) operator: PathBuf,
    /// Keeps the catalog.
    pub(in crate::commands) monitor: PathBuf,
    /// What commands in the directory of the mesh use.
    pub(in crate::commands) invoker: PathBuf,
}

impl LocalAuth {
    /// Opens the store of mesh `name`, or makes it, with its users.
    pub(in crate::commands) fn prepare(name: &str) -> Result<Self, Failure> {
        let directory = directory_of(name)?;
        let store = match Store::open(&directory) {
            Err(AuthError::NotInitialised { .. }) => match Store::init(&directory) {
                // Another command was faster.
                Err(AuthError::AlreadyInitialised { .. }) => Store::open(&directory)?,
                made => made?,
            },
            opened => opened?,
        };
        let user = |name, role| ensure_user(&store, name, role);
        Ok(Self {
            operator: user("local-operator", Role::Operator)?,
            monitor: user("local-monitor", Role::Monitor)?,
            invoker: user("local-invoker", Role::Invoker)?,
            store,
        })
    }
}

/// The credentials file of a user of the store, which is made if the user has none that is valid.
fn ensure_user(store: &Store, name: &str, role: Role) -> Result<PathBuf, Failure> {
    let name: UserName = name.parse()?;
    let path = store.credentials_path(&name);
    let user = match store.user(&name) {
        Ok(user) => Some(user).filter(|user| user.state != UserState::Revoked),
        Err(AuthError::UserNotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let file = || CredentialsFile::reserve(&path, store, &name);
    let (file, credentials) = match user {
        Some(user) => {
            let has_key = |known: &Credentials| known.claims().sub == user.key;
            if user.state == UserState::Active
                && Credentials::read(&path).is_ok_and(|known| has_key(&known))
            {
                return Ok(path);
            }
            (file()?, store.rotate(&name, None)?)
        }
        None => {
            let grants = Grants::builder(role).build()?;
            (file()?, store.add(&name, &grants, None)?)
        }
    };
    file.write(&credentials)?;
    Ok(path)
}
