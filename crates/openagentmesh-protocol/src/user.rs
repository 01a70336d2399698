//! Users whose permissions name the subjects that are theirs.

use std::fmt;

/// The longest token in bytes: a request id has the token and two further segments.
const MAX_TOKEN_BYTES: usize = 48;

/// The token of a user: a segment of every subject that belongs to the user alone, so that permissions can name them.
///
/// The JWT of the user has it in the tag `mesh-user:TOKEN`.
///
/// ```
/// use openagentmesh_protocol::UserToken;
///
/// let ann = UserToken::parse("ann")?;
/// assert_eq!(ann.inbox_prefix(), "_INBOX.ann");
/// assert!(UserToken::parse("*").is_err());
/// # Ok::<(), openagentmesh_protocol::InvalidUserToken>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserToken(String);

impl UserToken {
    /// The tag of a user's JWT that has the token, up to it.
    pub const TAG: &str = "mesh-user:";

    /// # Errors
    ///
    /// When `token` is empty, longer than 48 bytes, or has characters outside `[A-Za-z0-9_-]`.
    pub fn parse(token: impl Into<String>) -> Result<Self, InvalidUserToken> {
        let token = token.into();
        let is_valid = !token.is_empty()
            && token.len() <= MAX_TOKEN_BYTES
            && token.bytes().all(openagentmesh_name::is_name_byte);
        match is_valid {
            true => Ok(Self(token)),
            false => Err(InvalidUserToken(())),
        }
    }

    /// The token in the tags of a user's JWT, if there is a valid one.
    ///
    /// ```
    /// use openagentmesh_protocol::UserToken;
    ///
    /// let token = UserToken::of_tags(["mesh-role:invoker", "mesh-user:ann"]);
    /// assert_eq!(token, UserToken::parse("ann").ok());
    /// ```
    pub fn of_tags<'t>(tags: impl IntoIterator<Item = &'t str>) -> Option<Self> {
        let mut tokens = tags
            .into_iter()
            .filter_map(|tag| tag.strip_prefix(Self::TAG));
        tokens.find_map(|token| Self::parse(token).ok())
    }

    /// The token as written in subjects.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first part of the subjects on which the user receives replies.
    #[must_use]
    pub fn inbox_prefix(&self) -> String {
        format!("_INBOX.{self}")
    }
}

impl fmt::Display for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error of a text that cannot be the token of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUserToken(());

impl fmt::Display for InvalidUserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid token of a user; allowed are 1 to {MAX_TOKEN_BYTES} letters, digits, - and _"
        )
    }
}

impl std::error::Error for InvalidUserToken {}
