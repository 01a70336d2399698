//! Identification of a server by its greeting: the `INFO` line that it sends to each new client.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;

/// Maximum length of a greeting. Real ones have a few hundred bytes.
const MAX_GREETING_BYTES: u64 = 64 * 1024;

/// The relevant field of a greeting.
#[derive(Deserialize)]
struct Info {
    server_name: String,
}

/// Whether the server called `name` sends its greeting on `port` of the loopback interface within
/// `timeout`.
pub(crate) fn greets(port: u16, name: &str, timeout: Duration) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let greeting = TcpStream::connect_timeout(&address, timeout).and_then(|stream| {
        stream.set_read_timeout(Some(timeout))?;
        let mut line = Vec::new();
        BufReader::new(stream.take(MAX_GREETING_BYTES)).read_until(b'\n', &mut line)?;
        Ok(line)
    });
    greeting.is_ok_and(|line| is_greeting_of(&line, name))
}

fn is_greeting_of(line: &[u8], name: &str) -> bool {
    line.strip_prefix(b"INFO ")
        .and_then(|json| serde_json::from_slice::<Info>(json).ok())
        .is_some_and(|info| info.server_name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_with_another_name_is_not_recognised() {
        let ours = b"INFO {\"server_id\":\"N\",\"server_name\":\"oam-0123\",\"port\":1} \r\n";
        assert!(is_greeting_of(ours, "oam-0123"));
        assert!(!is_greeting_of(ours, "oam-4567"));
        for other in [
            "",
            "INFO ",
            "INFO {\"server_id\":\"N\"}\r\n",
            "INFO {\"server_name\":\"oam-0123\"",
            "220 mail.example ESMTP oam-0123\r\n",
        ] {
            assert!(!is_greeting_of(other.as_bytes(), "oam-0123"), "{other}");
        }
    }
}
