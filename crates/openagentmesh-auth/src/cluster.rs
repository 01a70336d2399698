//! The part of a server's configuration that makes it one of a cluster.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::AuthError;
use crate::quote::{quoted, quoted_path};

/// The place of a server in a cluster: its name, and the addresses by which the servers reach each other.
///
/// The servers know each other by the [password](crate::Store::route_password) of the store. Whoever has it, or the connections
/// between the servers, reads and writes everything on the mesh.
///
/// ```
/// use openagentmesh_auth::{ClusterMember, ServerConfig, Store};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::init(&directory.path().join("auth"))?;
/// let member = ClusterMember::new("mesh", "n1")
///     .listen("10.0.0.1:6222")
///     .route("10.0.0.2:6222")
///     .route("10.0.0.3:6222");
/// let text = ServerConfig::new("/var/lib/mesh").member(member).render(&store)?;
/// assert!(text.contains("server_name: \"n1\""));
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "the member is used by `ServerConfig::member`"]
pub struct ClusterMember {
    cluster: String,
    server: String,
    listen: String,
    routes: Vec<String>,
    authority: Option<PathBuf>,
}

impl ClusterMember {
    /// Server `server` of cluster `cluster`. All servers have the same cluster, and each has a name of its own, which it keeps:
    /// the stored data names it. The other servers reach it on port 6222 of the loopback interface, unless
    /// [`listen`](Self::listen) says otherwise.
    pub fn new(cluster: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            server: server.into(),
            listen: "127.0.0.1:6222".to_owned(),
            routes: Vec::new(),
            authority: None,
        }
    }

    /// The address for the other servers, `host:port`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The address of another server for this one, `host:port`. At least one is needed. One server that runs is enough to find
    /// all others.
    pub fn route(mut self, address: impl Into<String>) -> Self {
        self.routes.push(address.into());
        self
    }

    /// The file with the authority, in PEM, that has signed the certificates of the servers; by default those that the operating
    /// system trusts. It has an effect with [`ServerConfig::tls`](crate::ServerConfig::tls), whose certificate serves for both
    /// ends of the connections between servers then.
    pub fn authority(mut self, certificate: impl Into<PathBuf>) -> Self {
        self.authority = Some(certificate.into());
        self
    }

    /// The text of the configuration. `tls` has the quoted files of certificate and key.
    pub(crate) fn render(
        &self,
        password: &str,
        tls: Option<&(String, String)>,
    ) -> Result<String, AuthError> {
        let cluster = name("name of a cluster", &self.cluster)?;
        if self.routes.is_empty() {
            return Err(AuthError::Invalid {
                what: "member of cluster",
                value: self.cluster.clone(),
                allowed: "a server needs the address of at least one other server",
            });
        }
        let server = name("name of a server", &self.server)?;
        let listen = address(&self.listen)?;
        let mut text = format!(
            "server_name: {server}\n\
             cluster {{\n  \
             name: {cluster}\n  \
             listen: \"{listen}\"\n  \
             authorization {{ user: \"route\", password: \"{password}\" }}\n"
        );
        if let Some((certificate, key)) = tls {
            let authority = self.authority.as_deref().map(quoted_path).transpose()?;
            let authority = authority.map(|file| format!(", ca_file: {file}"));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  tls {{ cert_file: {certificate}, key_file: {key}{} }}",
                authority.unwrap_or_default()
            );
        }
        text.push_str("  routes: [\n");
        for route in &self.routes {
            let route = address(route)?;
            let _ = writeln!(text, "    \"nats-route://route:{password}@{route}\"");
        }
        text.push_str("  ]\n}\n");
        Ok(text)
    }
}

/// A quoted name.
fn name(what: &'static str, value: &str) -> Result<String, AuthError> {
    match value.is_empty() || value.contains(char::is_whitespace) {
        true => Err(AuthError::Invalid {
            what,
            value: value.to_owned(),
            allowed: "a name has at least one character and no space, as in n1",
        }),
        false => quoted(what, value),
    }
}

/// The address `host:port`.
fn address(value: &str) -> Result<&str, AuthError> {
    let is_host = |host: &str| {
        !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._:[]%".contains(c))
    };
    match value.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(value)
        }
        _ => Err(AuthError::Invalid {
            what: "address of a server",
            value: value.to_owned(),
            allowed: "a host and a port are needed, as in 10.0.0.2:6222",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_name_or_address_is_refused() {
        let member = || ClusterMember::new("mesh", "n1");
        let valid = || member().route("n2:6222");
        assert!(valid().render("secret", None).is_ok());
        assert!(member().render("secret", None).is_err());
        for valid in ["n2:6222", "10.0.0.2:6222", "[::1]:6222"] {
            let text = member().route(valid).render("secret", None).unwrap();
            let route = format!("\"nats-route://route:secret@{valid}\"");
            assert!(text.contains(&route), "{text}");
        }
        for invalid in [
            "",
            "n2",
            ":6222",
            "n2:0",
            "n2:x",
            "a@n2:6222",
            "n\"2:6222",
            "n 2:6222",
        ] {
            assert!(
                member().route(invalid).render("secret", None).is_err(),
                "{invalid}"
            );
            assert!(
                valid().listen(invalid).render("secret", None).is_err(),
                "{invalid}"
            );
        }
        for invalid in ["", "a b", "a\nb"] {
            for (cluster, server) in [("mesh", invalid), (invalid, "n1")] {
                let member = ClusterMember::new(cluster, server).route("n2:6222");
                assert!(member.render("secret", None).is_err(), "{invalid}");
            }
        }
    }
}
