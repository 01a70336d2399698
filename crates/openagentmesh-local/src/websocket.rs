//! The origins of the web pages that may connect over WebSocket.

use crate::LocalError;

/// Validated origins, as browsers send them in the header `Origin`. Without any, the server has no
/// WebSocket port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    /// # Errors
    ///
    /// [`LocalError::InvalidOrigin`] for the first text that is not an origin.
    pub(crate) fn parse(origins: &[String]) -> Result<Self, LocalError> {
        let parsed = origins.iter().map(|origin| {
            parse(origin).ok_or_else(|| LocalError::InvalidOrigin {
                origin: origin.clone(),
            })
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// The origin in lower case and without a final `/`. `None` for anything but `http` or `https`, a
/// host and optionally a port: the server would reject its whole configuration.
fn parse(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let origin = origin.strip_suffix('/').unwrap_or(&origin);
    let authority = ["http://", "https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme))?;
    let (host, port) = match authority.rsplit_once(':') {
        // A colon in brackets is part of an IPv6 host.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let is_ipv6 = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    let is_host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => is_ipv6(address),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    (is_port && is_host).then(|| origin.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn origin_is_scheme_host_and_port() {
        for (given, expected) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://App.Example/", "https://app.example"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(parse(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn text_that_is_not_an_origin_is_rejected() {
        for text in [
            "",
            "*",
            "null",
            "localhost:3000",
            "ws://localhost:3000",
            "http://",
            "http://:3000",
            "http://localhost:",
            "http://localhost:0",
            "http://localhost:+1",
            "http://localhost:65536",
            "http://localhost:3000/app",
            "http://user@localhost:3000",
            "http://*.example",
            "http://local host",
            "http://localhost\"] }",
            "http://[::1",
            "http://[localhost]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
