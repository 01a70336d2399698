//! Ports for servers.

use rand::RngExt as _;

/// A free port that no outgoing connection is given: a client that dials a server which is down could otherwise
/// take its port, or connect to itself.
pub(crate) fn free_port() -> u16 {
    let mut random = rand::rng();
    for _ in 0..100 {
        let port = random.random_range(20_000..30_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from 20000 to 30000");
}
