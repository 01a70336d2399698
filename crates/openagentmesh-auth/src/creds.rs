//! Credentials: the JWT of a user and its key.

use std::fmt;
use std::path::Path;

use nkeys::{KeyPair, KeyPairType};

use crate::claims::UserClaims;
use crate::jwt::{self, Claims, MAX_TOKEN_BYTES};
use crate::{AuthError, Grants, UserName, private};

/// Maximum size of a credentials file that is read.
pub const MAX_CREDS_BYTES: usize = 512 * 1024;

const JWT_BEGIN: &str = "-----BEGIN NATS USER JWT-----";
const JWT_END: &str = "------END NATS USER JWT------";
const SEED_BEGIN: &str = "-----BEGIN USER NKEY SEED-----";
const SEED_END: &str = "------END USER NKEY SEED------";

/// The JWT of a user and its key, as a `.creds` file has them. The key is a secret.
///
/// ```
/// use openagentmesh_auth::{Credentials, Grants, Role, Store};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::init(&directory.path().join("auth"))?;
/// let grants = Grants::builder(Role::Observer).build()?;
/// let text = store.add(&"ada".parse()?, &grants, None)?.to_text();
/// let credentials = Credentials::parse(&text)?;
/// assert_eq!(credentials.claims().name, "ada");
/// assert_eq!(credentials.identity()?.1.role(), Role::Observer);
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    jwt: String,
    seed: String,
    claims: Claims<UserClaims>,
}

impl Credentials {
    pub(crate) fn new(jwt: String, key: &KeyPair) -> Result<Self, AuthError> {
        let seed = key
            .seed()
            .map_err(|error| AuthError::malformed("user key", error.to_string()))?;
        Self::of(&jwt, &seed)
    }

    /// Checks that the key belongs to the JWT.
    fn of(jwt: &str, seed: &str) -> Result<Self, AuthError> {
        let claims: Claims<UserClaims> = jwt::decode(jwt, MAX_TOKEN_BYTES)?;
        let malformed = |problem| AuthError::malformed("credentials", problem);
        let key = KeyPair::from_seed(seed).map_err(|_| {
            malformed("the seed of the key is invalid; use the file as it was written")
        })?;
        if key.key_pair_type() != KeyPairType::User || claims.nats.kind != "user" {
            return Err(malformed(
                "they are not those of a user; use the credentials of a user",
            ));
        }
        if key.public_key() != claims.sub {
            return Err(malformed(
                "the key belongs to another JWT; use the file as it was written",
            ));
        }
        Ok(Self {
            jwt: jwt.to_owned(),
            seed: seed.to_owned(),
            claims,
        })
    }

    /// Reads the text of a `.creds` file. The text may come from anyone: it is checked that the JWT is signed by its issuer and
    /// that the key belongs to it, but not who the issuer is.
    ///
    /// # Errors
    ///
    /// [`AuthError::Malformed`]: the text has another form.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        if text.len() > MAX_CREDS_BYTES {
            return Err(AuthError::malformed(
                "credentials",
                "the file is too long; use the file as it was written",
            ));
        }
        let jwt = block(text, JWT_BEGIN, JWT_END)?;
        let seed = block(text, SEED_BEGIN, SEED_END)?;
        Self::of(&jwt, &seed)
    }

    /// Reads a `.creds` file.
    ///
    /// # Errors
    ///
    /// [`AuthError::Io`] if the file cannot be read, else those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, AuthError> {
        let text = private::read(path, MAX_CREDS_BYTES)?;
        Self::parse(&text).map_err(|error| match error {
            AuthError::Malformed { what, problem } => {
                AuthError::malformed(format!("{what} in {}", path.display()), problem)
            }
            other => other,
        })
    }

    /// Writes a `.creds` file that only this user of the machine can read. An existing file is replaced; after an error or a
    /// crash it is unchanged.
    ///
    /// # Errors
    ///
    /// [`AuthError::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AuthError> {
        private::write(path, &self.to_text())
    }

    /// The text of a `.creds` file. It contains the key.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { jwt, seed, .. } = self;
        format!(
            "{JWT_BEGIN}\n{jwt}\n{JWT_END}\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             {SEED_BEGIN}\n{seed}\n{SEED_END}\n\n\
             *************************************************************\n"
        )
    }

    /// The JWT, which is no secret.
    #[must_use]
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// The claims of the JWT.
    #[must_use]
    pub fn claims(&self) -> &Claims<UserClaims> {
        &self.claims
    }

    /// Whether they are those of user `name` of the mesh with this account.
    pub(crate) fn is_of(&self, account: &str, name: &UserName) -> bool {
        self.claims.iss == account && self.identity().is_ok_and(|(named, _)| named == *name)
    }

    /// The name of the user and what it was granted.
    ///
    /// # Errors
    ///
    /// [`AuthError::Malformed`] if the credentials were made by another program.
    pub fn identity(&self) -> Result<(UserName, Grants), AuthError> {
        Grants::from_tags(&self.claims.nats.tags)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// The text between two lines, without white space.
fn block(text: &str, begin: &str, end: &str) -> Result<String, AuthError> {
    let after = text.split_once(begin).map(|(_, after)| after);
    let between = after.and_then(|after| after.split_once(end));
    match between {
        Some((block, _)) => Ok(block.split_whitespace().collect()),
        None => Err(AuthError::malformed(
            "credentials",
            format!("the lines '{begin}' and '{end}' are missing; use a .creds file"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::claims::Keys;

    fn credentials() -> Credentials {
        let keys = Keys::new();
        let user = KeyPair::new_user();
        let grants = Grants::builder(Role::Observer).build().unwrap();
        let jwt = keys.user_jwt(&user, &"ada".parse().unwrap(), &grants, 1, None);
        Credentials::new(jwt.unwrap(), &user).unwrap()
    }

    #[test]
    fn credentials_are_read_as_they_were_written() {
        let credentials = credentials();
        let text = credentials.to_text();
        assert_eq!(Credentials::parse(&text).unwrap().to_text(), text);
        let windows = text.replace('\n', "\r\n");
        assert_eq!(Credentials::parse(&windows).unwrap().to_text(), text);
    }

    #[test]
    fn debug_output_has_no_seed() {
        let credentials = credentials();
        assert!(!format!("{credentials:?}").contains(&credentials.seed));
    }

    #[test]
    fn malformed_credentials_are_an_error() {
        let (text, other) = (credentials().to_text(), credentials());
        let own = Credentials::parse(&text).unwrap();
        for malformed in [
            String::new(),
            "nats".to_owned(),
            text.replace(&own.seed, &other.seed),
            text.replace(&own.seed, ""),
            text.replace(&own.seed, &"S".repeat(58)),
            text.replace(own.jwt(), "a.b.c"),
            text.replace(SEED_BEGIN, ""),
            "é".repeat(MAX_CREDS_BYTES),
        ] {
            assert!(Credentials::parse(&malformed).is_err(), "{malformed}");
        }
    }
}
