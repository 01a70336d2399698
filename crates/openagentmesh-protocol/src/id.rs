//! Identifiers of requests and of processes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::header::HeaderError;
use crate::user::UserToken;

/// Maximum length of an identifier from a peer in bytes.
const MAX_ID_BYTES: usize = 128;

/// Whether `text` can be one segment of a subject.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(openagentmesh_name::is_name_byte)
}

/// Whether `text` can be the identifier of a process: one segment, or that of its user before it.
fn is_instance(text: &str) -> bool {
    match text.split_once('.') {
        Some((user, id)) => is_token(user) && is_token(id),
        None => is_token(text),
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $header:expr, $is_valid:expr, $(#[$parse_doc:meta])*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new random identifier.
            #[must_use]
            pub fn random() -> Self {
                Self(uuid::Uuid::new_v4().simple().to_string())
            }

            /// A new random identifier that begins with the token of `user`, so that permissions can name it.
            #[must_use]
            pub fn random_of(user: Option<&UserToken>) -> Self {
                match user {
                    Some(user) => Self(format!("{user}.{}", Self::random())),
                    None => Self::random(),
                }
            }

            /// Validates an identifier from a peer.
            ///
            $(#[$parse_doc])*
            pub fn parse(id: impl Into<String>) -> Result<Self, HeaderError> {
                let id = id.into();
                if id.len() > MAX_ID_BYTES || !$is_valid(&id) {
                    return Err(HeaderError::new($header, &id));
                }
                Ok(Self(id))
            }

            /// The identifier as written in headers and subjects.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = HeaderError;

            fn try_from(id: String) -> Result<Self, HeaderError> {
                Self::parse(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

identifier! {
    /// Identifies one request, chosen by the caller: a UUIDv4 of 32 hexadecimal digits, or the prefix of its process and a
    /// further segment.
    ///
    /// ```
    /// use openagentmesh_protocol::RequestId;
    /// assert_eq!(RequestId::random().as_str().len(), 32);
    /// assert!(RequestId::parse("3846dd7ee9cd4517a991f0e31816e5af.7").is_ok());
    /// assert!(RequestId::parse("an..empty.segment").is_err());
    /// ```
    RequestId, crate::header::REQUEST_ID, |id: &str| id.split('.').all(is_token),
    /// Peers are not required to use UUIDs: any text that can be segments of a subject is accepted.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when `id` is longer than 128 bytes, has characters outside `[A-Za-z0-9_.-]`, or has an empty
    /// segment.
}

identifier! {
    /// Identifies one process on the mesh: a UUIDv4 of 32 hexadecimal digits, chosen at its start. That of a process whose
    /// user has a [token](UserToken) begins with the token and a dot.
    ///
    /// ```
    /// use openagentmesh_protocol::{InstanceId, UserToken};
    /// assert_ne!(InstanceId::random(), InstanceId::random());
    ///
    /// let ann = UserToken::parse("ann")?;
    /// let id = InstanceId::random_of(Some(&ann));
    /// assert!(id.as_str().starts_with("ann."));
    /// assert_eq!(id.user(), Some(ann));
    /// # Ok::<(), openagentmesh_protocol::InvalidUserToken>(())
    /// ```
    InstanceId, crate::header::INSTANCE_ID, is_instance,
    /// Peers are not required to use UUIDs: any text that can be one segment of a subject is accepted, or two.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when `id` is empty, longer than 128 bytes, has characters outside `[A-Za-z0-9_.-]`, an empty segment
    /// or more than two.
}

impl RequestId {
    /// The identifier of the request with `segment` of the process with `prefix`: those of a process differ in their last
    /// segment, so that one subscription has the replies to all of them.
    ///
    /// ```
    /// use openagentmesh_protocol::RequestId;
    /// let prefix = RequestId::random();
    /// assert_eq!(RequestId::below(&prefix, "7").as_str(), format!("{prefix}.7"));
    /// ```
    #[must_use]
    pub fn below(prefix: &Self, segment: &str) -> Self {
        // Faster than `format!`, for every request.
        Self([prefix.as_str(), ".", segment].concat())
    }
}

impl InstanceId {
    /// The NATS client name of a host with this instance id.
    #[must_use]
    pub fn client_name(&self) -> String {
        format!("oam-host-{self}")
    }

    /// The token of the user whose process it is, if the user has one.
    #[must_use]
    pub fn user(&self) -> Option<UserToken> {
        let (user, _) = self.0.split_once('.')?;
        UserToken::parse(user).ok()
    }
}
