//! The place of a `.creds` file.

use std::path::Path;

use crate::jwt::MAX_TOKEN_BYTES;
use crate::{AuthError, Credentials, Store, UserName, private};

/// The place of a `.creds` file, with room for it on the disk.
///
/// A store makes a key once and does not keep it. A file that cannot be written is therefore noticed before.
///
/// ```
/// use openagentmesh_auth::{CredentialsFile, Grants, Role, Store};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::init(&directory.path().join("auth"))?;
/// let path = directory.path().join("ada.creds");
/// let (ada, bob) = ("ada".parse()?, "bob".parse()?);
/// let file = CredentialsFile::reserve(&path, &store, &ada)?;
/// file.write(&store.add(&ada, &Grants::builder(Role::Invoker).build()?, None)?)?;
/// assert!(CredentialsFile::reserve(&path, &store, &bob).is_err(), "it has the key of ada");
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug)]
pub struct CredentialsFile(private::Reserved);

impl CredentialsFile {
    /// Reserves the place at `path` for credentials of user `name` of `store`. Earlier credentials of the same user there are
    /// unchanged until [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`AuthError::FileExists`] if another file is there, which may be the only copy of a key; [`AuthError::Io`] if no file can
    /// be written there; [`AuthError::Io`] or [`AuthError::Malformed`] if the store cannot be read.
    pub fn reserve(path: &Path, store: &Store, name: &UserName) -> Result<Self, AuthError> {
        let account = store.account()?;
        let other = match std::fs::metadata(path) {
            // The place of this user in the store.
            Ok(found) if found.is_file() && path == store.credentials_path(name) => false,
            Ok(found) if found.is_file() => {
                let known = Credentials::read(path);
                !known.is_ok_and(|known| known.is_of(&account, name))
            }
            // A directory is an error of its own.
            Ok(found) => !found.is_dir(),
            Err(_) => false,
        };
        if other {
            return Err(AuthError::FileExists {
                path: path.to_owned(),
                name: name.to_string(),
            });
        }
        private::Reserved::new(path, MAX_TOKEN_BYTES).map(Self)
    }

    /// As [`Credentials::write`].
    ///
    /// # Errors
    ///
    /// [`AuthError::Io`] if the file cannot be written.
    pub fn write(self, credentials: &Credentials) -> Result<(), AuthError> {
        self.0.write(&credentials.to_text())
    }
}
