//! URLs of the loopback interface.

/// The default port of NATS clients.
pub(super) const DEFAULT_PORT: u16 = 4222;

/// The port of a URL of the loopback interface; `None` for other hosts.
pub(super) fn loopback_port(url: &str) -> Option<u16> {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let address = address.split(['/', '?', '#']).next()?;
    let address = address
        .rsplit_once('@')
        .map_or(address, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        // A colon in brackets is part of an IPv6 host.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, DEFAULT_PORT),
    };
    let is_loopback =
        host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]");
    is_loopback.then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_url_is_recognised_with_its_port() {
        for (url, port) in [
            ("nats://127.0.0.1:4300", Some(4300)),
            ("nats://localhost", Some(4222)),
            ("LOCALHOST:1", Some(1)),
            ("nats://user:p:w@localhost:4300/", Some(4300)),
            ("ws://[::1]:4301", Some(4301)),
            ("[::1]", Some(4222)),
            ("nats://demo.example:4222", None),
            ("nats://localhost:port", None),
            ("", None),
        ] {
            assert_eq!(loopback_port(url), port, "{url}");
        }
    }
}
