//! The directory with the keys of a mesh and the list of its users.

mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nkeys::KeyPair;

use self::files::Files;
use crate::claims::{AccountClaims, Keys, UserClaims};
use crate::jwt::{self, Claims, MAX_ACCOUNT_BYTES, MAX_TOKEN_BYTES};
use crate::{AuthError, Credentials, Grants, UserName};

/// The longest line of the protocol in bytes that the server accepts. A client sends its JWT in one line, and the default of
/// 4 KiB is too short for the permissions of many agents.
pub const MAX_CONTROL_LINE: usize = 64 * 1024;

/// The length of what a client sends in addition to its JWT in the line that opens a connection.
const CONNECT_OVERHEAD: usize = 4 * 1024;

/// A directory with the keys of a mesh, which only this user of the machine can read, and the JWTs of its users.
///
/// The keys sign for everything on the mesh: a person with the directory has the mesh. The keys of users are not in it; they are in
/// their `.creds` files only.
///
/// Several processes may use a store at the same time. A change is complete or, after a crash, not made.
///
/// ```
/// use openagentmesh_auth::{Grants, Role, Store, UserState};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::init(&directory.path().join("auth"))?;
/// let grants = Grants::builder(Role::Invoker).build()?;
/// store.add(&"ada".parse()?, &grants, None)?;
/// store.revoke(&"ada".parse()?)?;
/// assert_eq!(store.users()?[0].state, UserState::Revoked);
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug)]
pub struct Store {
    files: Files,
}

/// A user of a [`Store`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The role, and what was granted.
    pub grants: Grants,
    /// The public key.
    pub key: String,
    /// The time at which the credentials were made.
    pub issued_at: SystemTime,
    /// The time after which the credentials are invalid; `None` if they do not expire.
    pub expires_at: Option<SystemTime>,
    /// Whether the credentials are valid.
    pub state: UserState,
}

/// Whether the credentials of a user are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserState {
    /// They are valid.
    Active,
    /// They have expired.
    Expired,
    /// They were revoked. A server refuses them once it has the current configuration.
    Revoked,
}

impl UserState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Store {
    /// Makes the keys of a new mesh in `directory`, which must be empty or not exist.
    ///
    /// # Errors
    ///
    /// [`AuthError::AlreadyInitialised`] if the directory is not empty, [`AuthError::Io`] if it cannot be written.
    pub fn init(directory: &Path) -> Result<Self, AuthError> {
        let keys = Keys::new();
        let now = seconds_now();
        let files = Files::create(directory, |files| {
            files.write_keys(&keys)?;
            files.write_jwt(files::OPERATOR, &keys.operator_jwt(now)?)?;
            files.write_jwt(files::SYSTEM, &keys.system_jwt(now)?)?;
            files.write_jwt(files::APP, &keys.app_jwt(now, BTreeMap::new())?)
        })?;
        Ok(Self { files })
    }

    /// Opens the store in `directory`.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotInitialised`] if the directory has no keys.
    pub fn open(directory: &Path) -> Result<Self, AuthError> {
        Ok(Self {
            files: Files::open(directory)?,
        })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.files.directory()
    }

    /// The path of the credentials of `name`, if they are kept in the store: those that `oam mesh up` uses itself.
    #[must_use]
    pub fn credentials_path(&self, name: &UserName) -> PathBuf {
        self.files.credentials_path(name)
    }

    /// Adds a user and returns its credentials, which the store does not keep. They expire after `lifetime`, if that is given.
    ///
    /// # Errors
    ///
    /// [`AuthError::UserExists`] if the name is that of a user that was not revoked, [`AuthError::TooLarge`] if the grants are
    /// too many, and those of reading and writing the store.
    pub fn add(
        &self,
        name: &UserName,
        grants: &Grants,
        lifetime: Option<Duration>,
    ) -> Result<Credentials, AuthError> {
        let _lock = self.files.lock()?;
        match self.user(name) {
            Ok(user) if user.state == UserState::Active => {
                return Err(AuthError::UserExists {
                    name: name.to_string(),
                });
            }
            Ok(_) | Err(AuthError::UserNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let credentials = self.sign(name, grants, lifetime)?;
        self.files.write_user(name, credentials.jwt())?;
        Ok(credentials)
    }

    /// Gives a user a new key with the same grants, and revokes the key before. The new credentials are valid as long as those
    /// before were, or for `lifetime`.
    ///
    /// # Errors
    ///
    /// [`AuthError::UserNotFound`], [`AuthError::UserRevoked`], and those of reading and writing the store.
    pub fn rotate(
        &self,
        name: &UserName,
        lifetime: Option<Duration>,
    ) -> Result<Credentials, AuthError> {
        let _lock = self.files.lock()?;
        let user = self.user(name)?;
        if user.state == UserState::Revoked {
            return Err(AuthError::UserRevoked {
                name: name.to_string(),
            });
        }
        let before = user
            .expires_at
            .and_then(|end| end.duration_since(user.issued_at).ok());
        let credentials = self.sign(name, &user.grants, lifetime.or(before))?;
        // The old key is revoked first: a crash leaves no valid key that the store does not know.
        self.revoke_key(&user)?;
        self.files.write_user(name, credentials.jwt())?;
        Ok(credentials)
    }

    /// Revokes the credentials of a user. A server refuses them, and ends the connections that use them, once it has reloaded
    /// the configuration with the new [`accounts_config`](Self::accounts_config).
    ///
    /// # Errors
    ///
    /// [`AuthError::UserNotFound`], and those of reading and writing the store.
    pub fn revoke(&self, name: &UserName) -> Result<(), AuthError> {
        let _lock = self.files.lock()?;
        self.revoke_key(&self.user(name)?)
    }

    /// The users in the order of their names, those that were revoked included.
    ///
    /// # Errors
    ///
    /// [`AuthError::Io`] or [`AuthError::Malformed`] if the store cannot be read.
    pub fn users(&self) -> Result<Vec<User>, AuthError> {
        let revocations = self.revocations()?;
        let names = self.files.user_names()?;
        let users = names.iter().map(|name| self.user_of(name, &revocations));
        users.collect()
    }

    /// The user of this name.
    ///
    /// # Errors
    ///
    /// [`AuthError::UserNotFound`], and [`AuthError::Io`] or [`AuthError::Malformed`] if the store cannot be read.
    pub fn user(&self, name: &UserName) -> Result<User, AuthError> {
        self.user_of(name, &self.revocations()?)
    }

    /// The part of a server's configuration that makes it accept the users: operator, accounts and revocations. It has no
    /// secret.
    ///
    /// # Errors
    ///
    /// [`AuthError::Io`] or [`AuthError::Malformed`] if the store cannot be read.
    pub fn accounts_config(&self) -> Result<String, AuthError> {
        let operator = self.files.jwt(files::OPERATOR)?;
        let [system, app] = [files::SYSTEM, files::APP].map(|account| {
            let token = self.files.jwt(account)?;
            let claims: Claims<AccountClaims> = jwt::decode(&token, MAX_ACCOUNT_BYTES)?;
            Ok::<_, AuthError>((claims.sub, token))
        });
        let ((system, system_jwt), (app, app_jwt)) = (system?, app?);
        Ok(format!(
            "# A client sends its permissions in one line.\n\
             max_control_line: {MAX_CONTROL_LINE}\n\
             operator: \"{operator}\"\n\
             system_account: \"{system}\"\n\
             resolver: MEMORY\n\
             resolver_preload {{\n  \
             # The system account.\n  \
             {system}: \"{system_jwt}\"\n  \
             # The account of the mesh, with its revocations.\n  \
             {app}: \"{app_jwt}\"\n\
             }}\n"
        ))
    }

    /// The password by which the servers of a cluster know each other. It is made when it is first asked for, and kept in the
    /// store, in the file `routes.password`.
    ///
    /// # Errors
    ///
    /// [`AuthError::Io`] or [`AuthError::Malformed`] if the file cannot be read or written.
    pub fn route_password(&self) -> Result<String, AuthError> {
        let _lock = self.files.lock()?;
        if let Some(password) = self.files.route_password()? {
            return Ok(password);
        }
        let random: [u8; 32] = ring::rand::generate(&ring::rand::SystemRandom::new())
            .map_err(|_| AuthError::Io {
                action: "make a password in",
                path: self.directory().to_owned(),
                source: std::io::Error::other("the operating system gives no random numbers"),
            })?
            .expose();
        let password = data_encoding::HEXLOWER.encode(&random);
        self.files.write_route_password(&password)?;
        Ok(password)
    }

    /// The public key of the account of the mesh, which signs the credentials of its users.
    pub(crate) fn account(&self) -> Result<String, AuthError> {
        let token = self.files.jwt(files::APP)?;
        let claims: Claims<AccountClaims> = jwt::decode(&token, MAX_ACCOUNT_BYTES)?;
        Ok(claims.sub)
    }

    /// New credentials, which the store does not know yet.
    fn sign(
        &self,
        name: &UserName,
        grants: &Grants,
        lifetime: Option<Duration>,
    ) -> Result<Credentials, AuthError> {
        let keys = self.files.keys()?;
        let key = KeyPair::new_user();
        let now = seconds_now();
        let expires = lifetime.map(|lifetime| now.saturating_add(lifetime.as_secs().max(1)));
        let jwt = keys.user_jwt(&key, name, grants, now, expires)?;
        let max = MAX_CONTROL_LINE - CONNECT_OVERHEAD;
        if jwt.len() > max {
            return Err(AuthError::TooLarge {
                name: name.to_string(),
                bytes: jwt.len(),
                max,
            });
        }
        Credentials::new(jwt, &key)
    }

    fn revoke_key(&self, user: &User) -> Result<(), AuthError> {
        if user.state == UserState::Revoked {
            return Ok(());
        }
        let mut revocations = self.revocations()?;
        let issued = seconds(user.issued_at);
        // The server compares the time of issue: a clock that went back must not leave the key valid.
        revocations.insert(user.key.clone(), seconds_now().max(issued));
        let keys = self.files.keys()?;
        let jwt = keys.app_jwt(seconds_now(), revocations)?;
        // The store could not be read again.
        if jwt.len() > MAX_ACCOUNT_BYTES {
            return Err(AuthError::TooManyRevocations {
                bytes: jwt.len(),
                max: MAX_ACCOUNT_BYTES,
            });
        }
        self.files.write_jwt(files::APP, &jwt)
    }

    fn user_of(
        &self,
        name: &UserName,
        revocations: &BTreeMap<String, u64>,
    ) -> Result<User, AuthError> {
        let claims: Claims<UserClaims> = jwt::decode(&self.files.user_jwt(name)?, MAX_TOKEN_BYTES)?;
        let (named, grants) = Grants::from_tags(&claims.nats.tags)?;
        if &named != name {
            return Err(AuthError::malformed(
                format!("record of user '{name}'"),
                format!("it is that of user '{named}'; restore the file from a backup"),
            ));
        }
        let revoked = revocations.get(&claims.sub);
        let state = match (revoked, claims.exp) {
            (Some(&time), _) if time >= claims.iat => UserState::Revoked,
            (_, Some(end)) if end <= seconds_now() => UserState::Expired,
            _ => UserState::Active,
        };
        Ok(User {
            name: named,
            grants,
            key: claims.sub,
            issued_at: time(claims.iat),
            expires_at: claims.exp.map(time),
            state,
        })
    }

    fn revocations(&self) -> Result<BTreeMap<String, u64>, AuthError> {
        let jwt = self.files.jwt(files::APP)?;
        let app: Claims<AccountClaims> = jwt::decode(&jwt, MAX_ACCOUNT_BYTES)?;
        Ok(app.nats.revocations)
    }
}

fn seconds_now() -> u64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The time of a token, which may be any number.
fn time(seconds: u64) -> SystemTime {
    // The last time that all platforms have: the year 9999.
    const LAST: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))
}

#[cfg(test)]
mod tests;
