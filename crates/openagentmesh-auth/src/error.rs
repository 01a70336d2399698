//! Errors of credentials and of their store.

use std::io;
use std::path::{Path, PathBuf};

use openagentmesh_protocol::Visible;

/// A credential, a permission or the store is unusable.
///
/// Every message names the problem, its cause and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A name or a pattern has a form that is not allowed.
    #[error("invalid {what} '{value}': {allowed}", value = Visible(value))]
    Invalid {
        /// The kind of the text, as in "user name".
        what: &'static str,
        /// The text.
        value: String,
        /// The form that is allowed.
        allowed: &'static str,
    },

    /// The role of a user and what it was granted do not fit.
    #[error("invalid permissions for role '{role}': {problem}")]
    InvalidGrants {
        /// The role.
        role: &'static str,
        /// The problem, with the remedy.
        problem: String,
    },

    /// The permissions of one user are too many for a server.
    #[error(
        "too many permissions for user '{name}': the JWT has {bytes} bytes, and a server accepts {max}; \
         name channels such as shop.> instead of single agents, or divide the agents among several users"
    )]
    TooLarge {
        /// The name of the user.
        name: String,
        /// The length of the JWT.
        bytes: usize,
        /// The maximum.
        max: usize,
    },

    /// The keys that were revoked are too many to keep.
    #[error(
        "too many revoked keys: the JWT of the account would have {bytes} bytes, and has {max} at most; make other keys with \
         oam auth init in another directory, and give the users credentials of those"
    )]
    TooManyRevocations {
        /// The length that the JWT would have.
        bytes: usize,
        /// The maximum.
        max: usize,
    },

    /// A credentials file or a token is malformed or was changed.
    #[error("malformed {what}: {problem}")]
    Malformed {
        /// The kind of the text.
        what: String,
        /// The problem, with the remedy.
        problem: String,
    },

    /// The store does not exist yet.
    #[error("no keys in {directory}: it was not initialised; run oam auth init", directory = directory.display())]
    NotInitialised {
        /// The directory of the store.
        directory: PathBuf,
    },

    /// The store exists already.
    #[error(
        "{directory} exists: its keys sign for a mesh already; use them, or name another directory",
        directory = directory.display()
    )]
    AlreadyInitialised {
        /// The directory of the store.
        directory: PathBuf,
    },

    /// A user of this name exists and is not revoked.
    #[error(
        "user '{name}' exists: a name belongs to one user; rotate or revoke that user, or choose another name"
    )]
    UserExists {
        /// The name.
        name: String,
    },

    /// No user has this name.
    #[error(
        "user '{name}' not found: the mesh has no user of that name; oam auth user list has the names"
    )]
    UserNotFound {
        /// The name.
        name: String,
    },

    /// A user was revoked and cannot be used any longer.
    #[error(
        "user '{name}' is revoked: its credentials stay invalid; add a user of that name again"
    )]
    UserRevoked {
        /// The name.
        name: String,
    },

    /// A file is in the place of new credentials, and is not the credentials of the same user.
    #[error(
        "{path} exists, and is not the credentials of user '{name}': it may be the only copy of another key; name another file, \
         or remove it",
        path = path.display()
    )]
    FileExists {
        /// The file.
        path: PathBuf,
        /// The name of the user.
        name: String,
    },

    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl AuthError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn malformed(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            problem: problem.into(),
        }
    }
}
