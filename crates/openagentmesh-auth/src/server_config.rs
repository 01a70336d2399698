//! The configuration of a server that enforces the permissions.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::quote::quoted_path;
use crate::{AuthError, ClusterMember, Store};

/// The default of the maximum message size: that of `oam mesh up`.
const MAX_PAYLOAD: u32 = 8 * 1024 * 1024;

/// The configuration of a `nats-server` that enforces the permissions of the users of a [`Store`].
///
/// The server listens on the loopback interface only, unless [`listen`](Self::listen) says otherwise.
///
/// ```
/// use openagentmesh_auth::{ServerConfig, Store};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::init(&directory.path().join("auth"))?;
/// let text = ServerConfig::new("/var/lib/mesh").port(4300).render(&store)?;
/// assert!(text.contains("listen: \"127.0.0.1:4300\""));
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "the configuration is made by `render`"]
pub struct ServerConfig {
    store_directory: PathBuf,
    address: String,
    port: u16,
    tls: Option<(PathBuf, PathBuf)>,
    member: Option<ClusterMember>,
}

impl ServerConfig {
    /// A configuration of a server that stores its data in `store_directory`.
    pub fn new(store_directory: impl Into<PathBuf>) -> Self {
        Self {
            store_directory: store_directory.into(),
            address: "127.0.0.1".to_owned(),
            port: 4222,
            tls: None,
            member: None,
        }
    }

    /// The port for clients; 0 lets the server choose.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address to listen on: an IP address of the machine, or `0.0.0.0` for all of them. Without TLS, everyone on the way
    /// reads all messages; keys and passwords are not sent.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// The files of the certificate and of its key, in PEM.
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Makes the server one of a cluster. The configuration has the [password](Store::route_password) of the routes then.
    pub fn member(mut self, member: ClusterMember) -> Self {
        self.member = Some(member);
        self
    }

    /// The text of the configuration. It has no secret, except for that of the routes of a [`member`](Self::member) of a cluster.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] if a path or the address cannot be written into a configuration, and those of
    /// [`Store::accounts_config`]; for a member of a cluster also those of [`Store::route_password`].
    pub fn render(&self, store: &Store) -> Result<String, AuthError> {
        let address = self.listen_on()?;
        let data = quoted_path(&self.store_directory)?;
        let mut text = format!(
            "# Written by oam auth server-conf. Print it again when a user was revoked, and reload the server:\n\
             #   nats-server --signal reload\n\
             listen: \"{address}\"\n\
             max_payload: {MAX_PAYLOAD}\n\
             ping_interval: \"10s\"\n\
             ping_max: 2\n\
             jetstream {{ store_dir: {data} }}\n"
        );
        let tls = self.tls.as_ref().map(|(certificate, key)| {
            Ok::<_, AuthError>((quoted_path(certificate)?, quoted_path(key)?))
        });
        let tls = tls.transpose()?;
        if let Some((certificate, key)) = &tls {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "tls {{ cert_file: {certificate}, key_file: {key} }}");
        }
        if let Some(member) = &self.member {
            text.push_str(&member.render(&store.route_password()?, tls.as_ref())?);
        }
        text.push_str(&store.accounts_config()?);
        Ok(text)
    }

    /// Address and port in the configuration's syntax, where -1 lets the server choose. A server takes an empty address for all
    /// of the machine's.
    fn listen_on(&self) -> Result<String, AuthError> {
        let port = match self.port {
            0 => -1,
            port => i32::from(port),
        };
        let bare = self.address.strip_prefix('[');
        let bare = bare.and_then(|rest| rest.strip_suffix(']'));
        let bare = bare.unwrap_or(&self.address);
        let invalid = || AuthError::Invalid {
            what: "address to listen on",
            value: self.address.clone(),
            allowed: "an IP address or the name of a host is needed, without a port, as in 10.0.0.2",
        };
        let is_name = |text: &str| {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            !text.is_empty() && text.chars().all(is_of_name)
        };
        let (bare, zone) = bare
            .split_once('%')
            .map_or((bare, None), |(bare, zone)| (bare, Some(zone)));
        match bare.parse() {
            Ok(IpAddr::V6(address)) => match zone {
                None => Ok(format!("[{address}]:{port}")),
                Some(zone) if is_name(zone) => Ok(format!("[{address}%{zone}]:{port}")),
                Some(_) => Err(invalid()),
            },
            Ok(IpAddr::V4(address)) if zone.is_none() => Ok(format!("{address}:{port}")),
            Err(_) if is_name(&self.address) => Ok(format!("{}:{port}", self.address)),
            Ok(IpAddr::V4(_)) | Err(_) => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_to_listen_on_is_an_address_or_a_name() {
        for (address, expected) in [
            ("0.0.0.0", "0.0.0.0:4222"),
            ("::1", "[::1]:4222"),
            ("[::1]", "[::1]:4222"),
            ("fe80::1%eth0", "[fe80::1%eth0]:4222"),
            ("mesh.example.com", "mesh.example.com:4222"),
        ] {
            let config = ServerConfig::new("/data").listen(address);
            assert_eq!(config.listen_on().unwrap(), expected);
        }
        for invalid in [
            "",
            " ",
            "127.0.0.1 ",
            "10.0.0.1:99",
            "x\"y",
            "[]",
            "[a]",
            "::1%",
            "1.1.1.1%a",
        ] {
            let config = ServerConfig::new("/data").listen(invalid);
            assert!(config.listen_on().is_err(), "{invalid:?}");
        }
    }
}
