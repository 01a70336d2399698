//! Ports of servers that a test stops and starts again.

use std::net::TcpStream;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use rand::RngExt as _;

/// The ports that no outgoing connection is given: a client that dials a server which is down could otherwise take its
/// port, or connect to itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// The number of the next port. Other processes begin elsewhere.
static NEXT: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new(rand::rng().random_range(0..COUNT)));

/// A free port that no other test of this process is given, also while its server is down.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        // Probed by connecting: a child that another test forks at this moment would inherit a listener, and keep the port
        // until it runs its program.
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT);
}
