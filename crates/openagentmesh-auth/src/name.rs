//! Names of users.

use std::fmt;
use std::str::FromStr;

use crate::AuthError;

/// Maximum length of a user name in bytes. The name is a part of many subjects.
const MAX_LEN: usize = 48;

/// The name of a user: `[A-Za-z0-9_-]+`, at most 48 bytes.
///
/// The name is a segment of the subjects that belong to the user alone: its inbox `_INBOX.{name}.>`, the replies of its
/// streams `mesh.stream.{name}.>`, and its instance records.
///
/// ```
/// use openagentmesh_auth::UserName;
///
/// let name: UserName = "shop-1".parse()?;
/// assert_eq!(name.as_str(), "shop-1");
/// assert!("shop.1".parse::<UserName>().is_err());
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(is_allowed) {
            return Err(AuthError::Invalid {
                what: "user name",
                value: text.to_owned(),
                allowed: "only letters, digits, - and _ are allowed, 1 to 48 of them",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
