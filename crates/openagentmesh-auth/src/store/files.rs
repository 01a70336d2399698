//! The files of a store.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nkeys::{KeyPair, KeyPairType};

use crate::claims::Keys;
use crate::jwt::{MAX_ACCOUNT_BYTES, MAX_TOKEN_BYTES};
use crate::private;
use crate::{AuthError, UserName};

/// The operator, who signs for the accounts.
pub(super) const OPERATOR: &str = "operator";
/// The system account.
pub(super) const SYSTEM: &str = "system";
/// The account of the mesh, which signs for its users.
pub(super) const APP: &str = "app";

const USERS: &str = "users";
const CREDENTIALS: &str = "creds";
const LOCK: &str = "lock";
/// The password of the connections between the servers of a cluster.
const ROUTE_PASSWORD: &str = "routes.password";

/// A seed and white space around it.
const MAX_SEED_BYTES: usize = 256;

/// The files in the directory of a store: `{operator,system,app}.{seed,jwt}`, `users/{name}.jwt`, `creds/{name}.creds`,
/// `routes.password` and `lock`.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Creates the directory with what `fill` writes, all of it or nothing.
    pub(super) fn create(
        directory: &Path,
        fill: impl FnOnce(&Self) -> Result<(), AuthError>,
    ) -> Result<Self, AuthError> {
        let directory =
            std::path::absolute(directory).map_err(AuthError::io("resolve", directory))?;
        // A link cannot be replaced by the new directory; what it names can.
        let directory = match directory.is_symlink() {
            true => {
                std::fs::canonicalize(&directory).map_err(AuthError::io("resolve", &directory))?
            }
            false => directory,
        };
        let already = || AuthError::AlreadyInitialised {
            directory: directory.clone(),
        };
        let parent = directory.parent().unwrap_or(&directory);
        private::create_directory(parent)?;
        let is_empty = match std::fs::read_dir(&directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(AuthError::io("read", &directory)(error)),
        };
        if !is_empty {
            return Err(already());
        }
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let new = builder
            .prefix(".auth-")
            .tempdir_in(parent)
            .map_err(AuthError::io("create a directory in", parent))?;
        let files = Self {
            directory: new.path().to_owned(),
        };
        private::create_directory(&files.directory.join(USERS))?;
        private::create_directory(&files.directory.join(CREDENTIALS))?;
        fill(&files)?;
        drop(files.lock()?);
        match std::fs::rename(&files.directory, &directory) {
            Ok(()) => {}
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => return Err(already()),
            Err(error) => return Err(AuthError::io("create", &directory)(error)),
        }
        // The directory has moved; there is nothing to remove.
        let _ = new.keep();
        private::sync(parent).map_err(AuthError::io("write", parent))?;
        Ok(Self { directory })
    }

    pub(super) fn open(directory: &Path) -> Result<Self, AuthError> {
        let directory =
            std::path::absolute(directory).map_err(AuthError::io("resolve", directory))?;
        let files = Self { directory };
        match files.path(OPERATOR, "jwt").is_file() {
            true => Ok(files),
            false => Err(AuthError::NotInitialised {
                directory: files.directory,
            }),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits for other processes that change the store. The lock ends with the value.
    pub(super) fn lock(&self) -> Result<File, AuthError> {
        let path = self.directory.join(LOCK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(AuthError::io("open", &path))?;
        file.lock().map_err(AuthError::io("lock", &path))?;
        Ok(file)
    }

    pub(super) fn write_keys(&self, keys: &Keys) -> Result<(), AuthError> {
        for (name, key) in [
            (OPERATOR, &keys.operator),
            (SYSTEM, &keys.system),
            (APP, &keys.app),
        ] {
            let seed = key
                .seed()
                .map_err(|error| AuthError::malformed("key", error.to_string()))?;
            private::write(&self.path(name, "seed"), &format!("{seed}\n"))?;
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> Result<Keys, AuthError> {
        let key = |name, kind| {
            let path = self.path(name, "seed");
            let seed = private::read(&path, MAX_SEED_BYTES)?;
            match KeyPair::from_seed(seed.trim()) {
                Ok(key) if key.key_pair_type() == kind => Ok(key),
                _ => Err(AuthError::malformed(
                    path.display().to_string(),
                    "the key is invalid; restore the file from a backup",
                )),
            }
        };
        Ok(Keys {
            operator: key(OPERATOR, KeyPairType::Operator)?,
            system: key(SYSTEM, KeyPairType::Account)?,
            app: key(APP, KeyPairType::Account)?,
        })
    }

    /// `None` if no server was ever made one of a cluster.
    pub(super) fn route_password(&self) -> Result<Option<String>, AuthError> {
        let path = self.directory.join(ROUTE_PASSWORD);
        match private::read(&path, MAX_SEED_BYTES) {
            Ok(text) => {
                let password = text.trim();
                match !password.is_empty() && password.chars().all(|c| c.is_ascii_alphanumeric()) {
                    true => Ok(Some(password.to_owned())),
                    false => Err(AuthError::malformed(
                        path.display().to_string(),
                        "only letters and digits are allowed; remove the file, and print the configuration of all servers \
                         again",
                    )),
                }
            }
            Err(AuthError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write_route_password(&self, password: &str) -> Result<(), AuthError> {
        private::write(
            &self.directory.join(ROUTE_PASSWORD),
            &format!("{password}\n"),
        )
    }

    pub(super) fn write_jwt(&self, name: &str, jwt: &str) -> Result<(), AuthError> {
        private::write(&self.path(name, "jwt"), &format!("{jwt}\n"))
    }

    pub(super) fn jwt(&self, name: &str) -> Result<String, AuthError> {
        let text = private::read(&self.path(name, "jwt"), MAX_ACCOUNT_BYTES + 1)?;
        Ok(text.trim().to_owned())
    }

    pub(super) fn write_user(&self, name: &UserName, jwt: &str) -> Result<(), AuthError> {
        private::write(&self.user_path(name), &format!("{jwt}\n"))
    }

    pub(super) fn user_jwt(&self, name: &UserName) -> Result<String, AuthError> {
        match private::read(&self.user_path(name), MAX_TOKEN_BYTES) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(AuthError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(AuthError::UserNotFound {
                    name: name.to_string(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The names of all users, in order. Other files are passed over.
    pub(super) fn user_names(&self) -> Result<Vec<UserName>, AuthError> {
        let directory = self.directory.join(USERS);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(AuthError::io("read", &directory))? {
            let path = entry.map_err(AuthError::io("read", &directory))?.path();
            let is_jwt = path.extension().is_some_and(|extension| extension == "jwt");
            let name = path
                .file_stem()
                .and_then(|name| name.to_str())
                .filter(|_| is_jwt);
            names.extend(name.and_then(|name| name.parse::<UserName>().ok()));
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn credentials_path(&self, name: &UserName) -> PathBuf {
        self.directory
            .join(CREDENTIALS)
            .join(format!("{name}.creds"))
    }

    fn user_path(&self, name: &UserName) -> PathBuf {
        self.directory.join(USERS).join(format!("{name}.jwt"))
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.directory.join(format!("{name}.{extension}"))
    }
}
