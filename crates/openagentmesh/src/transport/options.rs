//! The options of a connection, and their checks before anything is dialed.

use std::fmt;
use std::path::{Path, PathBuf};

use nkeys::KeyPair;
use openagentmesh_protocol::{ErrorCode, UserToken};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::headers::check_subject;
use crate::error::{Error, Result};

/// The options of a connection; the builder of a mesh sets them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionOptions {
    pub(crate) url: Option<String>,
    /// The name of a context, in place of a URL.
    pub(crate) context: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) inbox_prefix: Option<String>,
    /// The token of the user, where no JWT has it.
    pub(crate) user: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// The last value of each option that sets credentials; more than one option is an error.
    credentials: Vec<Credentials>,
}

/// The files of a client certificate and of its private key, both PEM.
#[derive(Debug, Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The credentials of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    UserAndPassword { user: String, password: Secret },
    Token(Secret),
    Nkey { seed: Secret },
    Jwt { jwt: Secret, seed: Secret },
    File(PathBuf),
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Credentials {
    /// The builder's method for a credentials file.
    pub(super) const FILE_OPTION: &'static str = "credentials";

    /// The builder's method that sets it.
    pub(crate) fn option(&self) -> &'static str {
        match self {
            Self::UserAndPassword { .. } => "user_and_password",
            Self::Token(_) => "token",
            Self::Nkey { .. } => "nkey",
            Self::Jwt { .. } => "jwt",
            Self::File(_) => Self::FILE_OPTION,
        }
    }
}

impl ConnectionOptions {
    /// Sets credentials, in place of an earlier value of the same option.
    pub(crate) fn authenticate(&mut self, credentials: Credentials) {
        self.credentials
            .retain(|other| other.option() != credentials.option());
        self.credentials.push(credentials);
    }

    /// The credentials that an option sets, if one does.
    ///
    /// # Errors
    ///
    /// `configuration` when two options do.
    pub(crate) fn credentials(&self) -> Result<Option<&Credentials>> {
        match self.credentials.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [one, other, ..] => Err(Error::raised(
                ErrorCode::Configuration,
                format!(
                    "conflicting options {} and {}: a connection authenticates in one way; set one \
                     of them",
                    one.option(),
                    other.option()
                ),
            )),
        }
    }

    /// The first option that is set: an existing client has them all from elsewhere.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let set = [
            ("url", self.url.is_some()),
            ("context", self.context.is_some()),
            ("connection_name", self.name.is_some()),
            ("inbox_prefix", self.inbox_prefix.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("client_certificate", self.client_certificate.is_some()),
        ];
        let option = set.into_iter().find(|(_, is_set)| *is_set);
        let credentials = self.credentials.first().map(Credentials::option);
        option.map(|(option, _)| option).or(credentials)
    }

    /// Checks what can be checked without a connection.
    ///
    /// # Errors
    ///
    /// `configuration`; the message names the option.
    pub(crate) async fn check(&self) -> Result<()> {
        self.credentials()?;
        if let Some(name) = &self.name
            && (name.is_empty() || name.chars().any(char::is_control))
        {
            return Err(invalid(
                "connection_name",
                format!("{name:?} is empty or has control characters"),
                "use printable characters",
            ));
        }
        if let Some(prefix) = &self.inbox_prefix {
            check_subject(prefix, false).map_err(|error| {
                invalid(
                    "inbox_prefix",
                    error.message(),
                    "use a subject such as _INBOX.team",
                )
            })?;
        }
        self.user()?;
        if let Some(path) = &self.ca_file {
            let pem = read_pem("ca_file", path).await?;
            if !has_certificate(&pem) {
                let cause = format!("{} has no certificate", path.display());
                return Err(invalid("ca_file", cause, PEM_REMEDY));
            }
        }
        if let Some(ClientCertificate { certificate, key }) = &self.client_certificate {
            let option = "client_certificate";
            if !has_certificate(&read_pem(option, certificate).await?) {
                let cause = format!("{} has no certificate", certificate.display());
                return Err(invalid(option, cause, PEM_REMEDY));
            }
            if PrivateKeyDer::from_pem_slice(&read_pem(option, key).await?).is_err() {
                let cause = format!("{} has no private key", key.display());
                return Err(invalid(option, cause, PEM_REMEDY));
            }
        }
        Ok(())
    }

    /// The token of the user, if the option is set.
    ///
    /// # Errors
    ///
    /// `configuration` when it cannot be one.
    pub(crate) fn user(&self) -> Result<Option<UserToken>> {
        let user = self.user.clone().map(UserToken::parse).transpose();
        user.map_err(|error| {
            let cause = error.to_string();
            invalid(
                "user",
                cause,
                "give the name that the permissions of the user have",
            )
        })
    }

    /// Whether an option asks for TLS, whatever the URL says.
    pub(crate) fn requires_tls(&self) -> bool {
        self.ca_file.is_some() || self.client_certificate.is_some()
    }
}

const PEM_REMEDY: &str = "give the path of a PEM file";

fn has_certificate(pem: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(pem)
        .next()
        .is_some_and(|first| first.is_ok())
}

pub(super) fn key_pair(option: &str, seed: &Secret) -> Result<KeyPair> {
    KeyPair::from_seed(seed.reveal()).map_err(|_| {
        invalid(
            option,
            "the seed is malformed",
            "give the whole seed of a user, which begins with SU",
        )
    })
}

/// The UTF-8 byte order mark, which editors on Windows write.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The content of a text file, without a byte order mark.
pub(super) async fn read_text(option: &str, path: &Path) -> Result<Vec<u8>> {
    let content = read(option, path).await?;
    check_encoding(option, path, &content)?;
    Ok(match content.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => text.to_vec(),
        None => content,
    })
}

/// The content of a PEM file. The client reads the file itself, and skips a block after a byte order mark.
async fn read_pem(option: &str, path: &Path) -> Result<Vec<u8>> {
    let content = read(option, path).await?;
    check_encoding(option, path, &content)?;
    if content.starts_with(BYTE_ORDER_MARK) {
        let cause = format!("{} begins with a byte order mark", path.display());
        return Err(invalid(option, cause, "save it as UTF-8 without one"));
    }
    Ok(content)
}

async fn read(option: &str, path: &Path) -> Result<Vec<u8>> {
    tokio::fs::read(path).await.map_err(|error| {
        let cause = format!("cannot read {}: {error}", path.display());
        invalid(option, cause, "give the path of a readable file").with_source(error)
    })
}

/// Refuses other encodings than UTF-8, which the error names.
fn check_encoding(option: &str, path: &Path, content: &[u8]) -> Result<()> {
    let problem = match content {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16 text",
        _ if content.contains(&0) => "is binary or UTF-16",
        _ => return Ok(()),
    };
    let cause = format!("{} {problem}", path.display());
    Err(invalid(option, cause, "save it as UTF-8 text"))
}

pub(super) fn invalid(option: &str, cause: impl fmt::Display, remedy: &str) -> Error {
    Error::raised(
        ErrorCode::Configuration,
        format!("invalid option {option}: {cause}; {remedy}"),
    )
    .with_detail("option", option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_options_never_shows_a_secret() {
        let mut options = ConnectionOptions::default();
        let secret = || Secret::new("hidden");
        for credentials in [
            Credentials::UserAndPassword {
                user: "user".to_owned(),
                password: secret(),
            },
            Credentials::Token(secret()),
            Credentials::Nkey { seed: secret() },
            Credentials::Jwt {
                jwt: secret(),
                seed: secret(),
            },
        ] {
            options.authenticate(credentials);
        }
        let shown = format!("{options:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn option_given_twice_counts_once_and_two_options_conflict() {
        let mut options = ConnectionOptions::default();
        options.authenticate(Credentials::Token(Secret::new("a")));
        options.authenticate(Credentials::Token(Secret::new("b")));
        assert!(matches!(
            options.credentials(),
            Ok(Some(Credentials::Token(token))) if token.reveal() == "b"
        ));
        options.authenticate(Credentials::File("x.creds".into()));
        let error = options.credentials().map(|_| ()).unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Configuration);
        assert!(error.message().contains("token and credentials"), "{error}");
    }
}
