//! The servers that a URL names.

use std::io;
use std::net::IpAddr;

use async_nats::ServerAddr;
use openagentmesh_protocol::ErrorCode;
use percent_encoding::percent_decode_str;

use super::options::{Credentials, Secret};
use super::url::{malformation, redacted_url};
use crate::error::{Error, Result};

/// The servers of a URL, without a login.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) addresses: Vec<ServerAddr>,
    /// The login of the first server that has one.
    pub(super) login: Option<Credentials>,
}

impl Servers {
    /// # Errors
    ///
    /// `configuration` when a URL is malformed, or has a scheme that this build does not speak.
    pub(super) fn parse(urls: &str) -> Result<Self> {
        if let Some(cause) = malformation(urls) {
            return Err(invalid(urls, cause, FORM));
        }
        let parsed = urls.split(',').map(|url| parse_one(url.trim()));
        let parsed = parsed.collect::<Result<Vec<_>>>()?;
        let (addresses, logins): (Vec<_>, Vec<_>) = parsed.into_iter().unzip();
        Ok(Self {
            addresses,
            login: logins.into_iter().flatten().next(),
        })
    }

    /// Whether every URL asks for TLS. Servers of the same cluster that the client discovers must speak it, too.
    pub(super) fn require_tls(&self) -> bool {
        self.addresses.iter().all(ServerAddr::tls_required)
    }

    /// Whether some URLs ask for TLS and others do not. It is unknown then whether a discovered server must.
    pub(super) fn are_mixed(&self) -> bool {
        self.addresses.iter().any(ServerAddr::tls_required) && !self.require_tls()
    }

    /// The servers with `127.0.0.1` before each `localhost`; `None` without a `localhost`, and for servers of another
    /// machine. The name stays: its certificate may have no address, and its server no IPv4.
    ///
    /// Windows tries `::1` first, and takes 2 s to find that nothing listens there.
    pub(super) fn with_ipv4_first(&self) -> Option<Vec<ServerAddr>> {
        let is_name = |server: &ServerAddr| server.host().eq_ignore_ascii_case("localhost");
        if !self.are_local() || !self.addresses.iter().any(is_name) {
            return None;
        }
        let address = |server: &ServerAddr| {
            let mut url = server.clone().into_inner();
            url.set_host(Some("127.0.0.1")).ok()?;
            ServerAddr::from_url(url).ok()
        };
        let mut ordered = Vec::new();
        for server in &self.addresses {
            if is_name(server) {
                ordered.extend(address(server));
            }
            ordered.push(server.clone());
        }
        Some(ordered)
    }

    /// Whether all servers are on this machine.
    pub(super) fn are_local(&self) -> bool {
        self.addresses.iter().all(|server| {
            let host = server.host();
            let address = host.parse::<IpAddr>();
            host.eq_ignore_ascii_case("localhost")
                || address.is_ok_and(|address| address.is_loopback())
        })
    }
}

/// The remedy for most malformed URLs.
const FORM: &str = "use the form nats://127.0.0.1:4222";

fn invalid(url: &str, reason: &str, remedy: &str) -> Error {
    Error::raised(
        ErrorCode::Configuration,
        format!("invalid URL '{}': {reason}; {remedy}", redacted_url(url)),
    )
}

fn parse_one(url: &str) -> Result<(ServerAddr, Option<Credentials>)> {
    let invalid = |reason: &str, remedy: &str| invalid(url, reason, remedy);
    if let Some((scheme, _)) = url.split_once("://") {
        match scheme.to_ascii_lowercase().as_str() {
            "nats" | "tls" => {}
            "ws" => {
                return Err(invalid(
                    "WebSocket is not supported",
                    "use nats:// or tls:// with the server's client port, 4222 by default",
                ));
            }
            "wss" => {
                return Err(invalid(
                    "WebSocket is not supported",
                    "use tls:// with the server's client port, 4222 by default",
                ));
            }
            _ => return Err(invalid("unknown scheme", "use nats:// or tls://")),
        }
    }
    let server: ServerAddr = url.parse().map_err(|error: io::Error| {
        let host = url.split_once("://").map_or(url, |(_, host)| host);
        let has_bare_address = host.matches(':').count() > 1 && !host.contains('[');
        let remedy = if has_bare_address && !host.contains('@') {
            "put an IPv6 address into brackets, as in nats://[::1]:4222"
        } else {
            FORM
        };
        invalid(&error.to_string(), remedy).with_source(error)
    })?;
    if server.host().is_empty() {
        return Err(invalid("the host is missing", FORM));
    }
    let login = login(&server);
    // The client does not read the login, and might log it.
    let mut url = server.into_inner();
    if login.is_some() && (url.set_username("").is_err() || url.set_password(None).is_err()) {
        return Err(invalid("it cannot have a login", FORM));
    }
    let server = ServerAddr::from_url(url).map_err(|error| invalid(&error.to_string(), FORM))?;
    Ok((server, login))
}

/// The login before the host: a user and a password, or a token.
fn login(server: &ServerAddr) -> Option<Credentials> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(server.username()?);
    Some(match server.password() {
        Some(password) => Credentials::UserAndPassword {
            user,
            password: Secret::new(decoded(password)),
        },
        None => Credentials::Token(Secret::new(user)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parsed_servers_have_no_login() {
        let servers = Servers::parse("nats://a:1,nats://user:se%63ret@b:2").unwrap();
        let hosts: Vec<_> = servers
            .addresses
            .iter()
            .map(ServerAddr::as_url_str)
            .collect();
        assert_eq!(hosts, ["nats://a:1", "nats://b:2"]);
        assert!(matches!(
            servers.login,
            Some(Credentials::UserAndPassword { user, password })
                if user == "user" && password.reveal() == "secret"
        ));
    }

    #[test]
    fn unsupported_scheme_names_the_one_to_use() {
        for (url, remedy) in [
            ("ws://a:1", "use nats:// or tls://"),
            ("WSS://a:1", "use tls:// with"),
            ("http://a:1", "use nats:// or tls://"),
            ("nats://a:1,ws://b:2", "use nats:// or tls://"),
            ("nats://::1:4222", "brackets"),
            ("nats://a:1,", "nats://127.0.0.1:4222"),
            ("nats://a\nb:1", "nats://127.0.0.1:4222"),
        ] {
            let error = Servers::parse(url).unwrap_err();
            assert_eq!(error.code(), &ErrorCode::Configuration, "{url}");
            assert!(error.message().contains(remedy), "{url}: {error}");
        }
    }

    #[test]
    fn localhost_is_dialed_by_its_ipv4_address_first() {
        let ordered = |urls: &str| -> Option<Vec<String>> {
            let servers = Servers::parse(urls).unwrap().with_ipv4_first()?;
            let urls = servers.iter().map(|server| server.as_url_str().to_owned());
            Some(urls.collect())
        };
        let both = ["nats://127.0.0.1:4222", "nats://localhost:4222"];
        assert_eq!(ordered("nats://localhost:4222").unwrap(), both);
        let tls = ["nats://[::1]:1", "tls://127.0.0.1:2", "tls://LOCALHOST:2"];
        let servers = ordered("nats://[::1]:1,tls://u:p@LOCALHOST:2").unwrap();
        assert_eq!(servers, tls);
        for unchanged in ["127.0.0.1", "localhost,nats.example", "localhost.example"] {
            assert_eq!(ordered(unchanged), None, "{unchanged}");
        }
    }

    #[test]
    fn protection_and_place_of_servers_are_those_of_all_urls() {
        let parse = |urls: &str| Servers::parse(urls).unwrap();
        assert!(parse("tls://a,TLS://b").require_tls());
        assert!(!parse("tls://a,nats://b").require_tls());
        assert!(parse("tls://a,nats://b").are_mixed());
        assert!(!parse("tls://a").are_mixed() && !parse("a").are_mixed());
        for local in [
            "localhost",
            "nats://LOCALHOST:1",
            "127.3.2.1",
            "nats://[::1]:4222",
        ] {
            assert!(parse(local).are_local(), "{local}");
        }
        for remote in ["localhost.example", "localhost,a", "10.0.0.1", "[::2]"] {
            assert!(!parse(remote).are_local(), "{remote}");
        }
        assert_eq!(parse("nats://[::1]").addresses[0].port(), 4222);
        assert_eq!(parse("tls://a").addresses[0].port(), 4222);
    }
}
