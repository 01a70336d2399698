//! The answer to a server that asks for credentials, made for each attempt to connect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::{Auth, AuthError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use openagentmesh_protocol::UserToken;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::options::{self, Credentials, key_pair};
use crate::error::Result;

/// Checks what can be checked without a connection.
///
/// # Errors
///
/// `configuration` when a seed is malformed, or the credentials file cannot be read.
pub(super) async fn check(credentials: &Credentials) -> Result<()> {
    match credentials {
        Credentials::Nkey { seed } | Credentials::Jwt { seed, .. } => {
            key_pair(credentials.option(), seed).map(drop)
        }
        Credentials::File(path) => CredentialsFile::read(path).await.map(drop),
        Credentials::UserAndPassword { .. } | Credentials::Token(_) => Ok(()),
    }
}

/// Answers each attempt to connect with `credentials`. A credentials file is read again each time: the file may
/// have been renewed.
pub(super) fn client_options(credentials: Vec<Credentials>) -> async_nats::ConnectOptions {
    if credentials.is_empty() {
        return async_nats::ConnectOptions::new();
    }
    let credentials = Arc::new(credentials);
    async_nats::ConnectOptions::with_auth_callback(move |nonce| {
        let credentials = Arc::clone(&credentials);
        async move {
            let mut auth = Auth::new();
            for credentials in credentials.iter() {
                if let Err(error) = answer(credentials, &nonce, &mut auth).await {
                    tracing::warn!(%error, "cannot connect to the mesh");
                    return Err(AuthError::new(error));
                }
            }
            Ok(auth)
        }
    })
}

async fn answer(credentials: &Credentials, nonce: &[u8], auth: &mut Auth) -> Result<()> {
    match credentials {
        Credentials::UserAndPassword { user, password } => {
            auth.username = Some(user.clone());
            auth.password = Some(password.reveal().to_owned());
        }
        Credentials::Token(token) => auth.token = Some(token.reveal().to_owned()),
        Credentials::Nkey { seed } => {
            let key = key_pair(credentials.option(), seed)?;
            auth.nkey = Some(key.public_key());
            auth.signature = sign(&key, nonce);
        }
        Credentials::Jwt { jwt, seed } => {
            let key = key_pair(credentials.option(), seed)?;
            auth.jwt = Some(jwt.reveal().to_owned());
            auth.signature = sign(&key, nonce);
        }
        Credentials::File(path) => {
            let file = CredentialsFile::read(path).await?;
            auth.signature = sign(&file.key, nonce);
            auth.jwt = Some(file.jwt);
        }
    }
    Ok(())
}

/// Without a signature, the server refuses the credentials. A key pair of a seed can always sign.
fn sign(key: &KeyPair, nonce: &[u8]) -> Option<Vec<u8>> {
    key.sign(nonce).ok()
}

/// The content of a credentials file.
struct CredentialsFile {
    jwt: String,
    key: KeyPair,
}

impl CredentialsFile {
    /// # Errors
    ///
    /// `configuration` when the file cannot be read or is malformed. The message has no part of its content.
    async fn read(path: &Path) -> Result<Self> {
        let option = Credentials::FILE_OPTION;
        let text = options::read_text(option, path).await?;
        Self::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| {
            let cause = format!("malformed credentials file {}", path.display());
            options::invalid(option, cause, "give a file with a user's JWT and seed")
        })
    }

    /// The JWT and the seed are the lines below the first two lines of dashes that open a block.
    fn parse(text: &str) -> Option<Self> {
        let is_dashes = |line: &str| line.starts_with("---") && line.ends_with("---");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut blocks = lines.windows(3).filter_map(|window| match window {
            [begin, content, end] if is_dashes(begin) && is_dashes(end) => {
                let is_content = !content.is_empty() && !is_dashes(content);
                is_content.then_some(*content)
            }
            _ => None,
        });
        let (jwt, seed) = (blocks.next()?, blocks.next()?);
        Some(Self {
            jwt: jwt.to_owned(),
            key: KeyPair::from_seed(seed).ok()?,
        })
    }
}

/// The time at which credentials have expired, by the JWT in them and the clock of this process.
pub(super) async fn expired_at(credentials: &Credentials) -> Option<String> {
    let expires = match credentials {
        Credentials::Jwt { jwt, .. } => expiry(jwt.reveal()),
        Credentials::File(path) => expiry(&CredentialsFile::read(path).await.ok()?.jwt),
        _ => None,
    }?;
    let has_expired = expires <= OffsetDateTime::now_utc();
    has_expired.then(|| expires.format(&Rfc3339).unwrap_or_default())
}

/// The token of the user whose JWT is in one of `credentials`. The server checks the JWT, and permits what the user may do:
/// a wrong token permits nothing.
///
/// Credentials that cannot be read have none: the attempt to connect says why.
pub(super) async fn user(credentials: &[Credentials]) -> Option<UserToken> {
    for credentials in credentials {
        let token = match credentials {
            Credentials::Jwt { jwt, .. } => token(jwt.reveal()),
            Credentials::File(path) => match CredentialsFile::read(path).await {
                Ok(file) => token(&file.jwt),
                Err(_) => None,
            },
            _ => None,
        };
        if token.is_some() {
            return token;
        }
    }
    None
}

/// The longest JWT that is parsed, in bytes. A server does not accept longer ones.
const MAX_JWT_BYTES: usize = 256 * 1024;

/// The claims of a user that are read here, without a check of the signature.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    exp: i64,
    nats: NatsClaims,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NatsClaims {
    tags: Option<Vec<String>>,
}

impl Claims {
    fn read(jwt: &str) -> Option<Self> {
        if jwt.len() > MAX_JWT_BYTES {
            return None;
        }
        let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

/// The token in the tags of a user's JWT.
fn token(jwt: &str) -> Option<UserToken> {
    let tags = Claims::read(jwt)?.nats.tags?;
    UserToken::of_tags(tags.iter().map(String::as_str))
}

/// The end of validity of a JWT; `None` if it has none.
fn expiry(jwt: &str) -> Option<OffsetDateTime> {
    let claims = Claims::read(jwt)?;
    (claims.exp > 0)
        .then(|| OffsetDateTime::from_unix_timestamp(claims.exp).ok())
        .flatten()
}

/// `path`, where `~` as its first segment stands for the user's home directory: shells expand it neither in
/// `--creds=~/a` nor in a variable or file.
pub(crate) fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) if !home.as_os_str().is_empty() => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_file_is_parsed_with_any_line_end_and_remarks() {
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        for line_end in ["\n", "\r\n"] {
            let text = [
                "-----BEGIN NATS USER JWT-----",
                "a.b-c_d.e",
                "------END NATS USER JWT------",
                "",
                "************************* IMPORTANT *************************",
                "-----BEGIN USER NKEY SEED-----",
                &seed,
                "------END USER NKEY SEED------",
            ]
            .join(line_end);
            let file = CredentialsFile::parse(&text).unwrap();
            assert_eq!(file.jwt, "a.b-c_d.e");
            assert_eq!(file.key.public_key(), key.public_key());
        }
    }

    #[test]
    fn malformed_credentials_file_is_refused() {
        let block = |content: &str| format!("---A---\n{content}\n---B---\n");
        for text in [
            String::new(),
            "---".repeat(5),
            block("jwt"),
            block("jwt") + &block("no seed"),
            block("") + &block(""),
        ] {
            assert!(CredentialsFile::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn expiry_is_read_from_the_claims_of_a_jwt() {
        let jwt = |claims: &str| format!("header.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        let expires = expiry(&jwt(r#"{"exp": 1700000000}"#)).unwrap();
        assert_eq!(expires.unix_timestamp(), 1_700_000_000);
        for other in [
            "{}",
            r#"{"exp": 0}"#,
            r#"{"exp": 9223372036854775807}"#,
            "[]",
        ] {
            assert_eq!(expiry(&jwt(other)), None, "{other}");
        }
        assert_eq!(expiry("no.jwt"), None);
    }

    #[test]
    fn user_token_is_read_from_the_tags_of_a_jwt() {
        let jwt = |claims: &str| format!("header.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        let ann =
            jwt(r#"{"nats": {"tags": ["mesh-role:invoker", "mesh-user:ann"], "type": "user"}}"#);
        assert_eq!(token(&ann), UserToken::parse("ann").ok());
        for other in [
            "{}",
            "[]",
            "null",
            r#"{"nats": null}"#,
            r#"{"nats": {"tags": null}}"#,
            r#"{"nats": {"tags": "mesh-user:ann"}}"#,
            r#"{"nats": {"tags": [["mesh-user:ann"]]}}"#,
            r#"{"nats": {"tags": ["mesh-user:", "mesh-user:*", "mesh-user:a.b", "ann"]}}"#,
        ] {
            assert_eq!(token(&jwt(other)), None, "{other}");
        }
        for other in ["", ".", "a.%.b", &"x.".repeat(MAX_JWT_BYTES)] {
            assert_eq!(token(other), None);
        }
    }

    #[test]
    fn home_directory_is_expanded_as_first_segment_only() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand_home(Path::new("~/a.creds")), home.join("a.creds"));
        assert_eq!(expand_home(Path::new("~")), home.join(""));
        for other in ["~user/a", "/~/a", "a/~", "a"] {
            assert_eq!(expand_home(Path::new(other)), Path::new(other));
        }
    }
}
