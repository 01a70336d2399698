//! Identification of a server by its greeting: the `INFO` line that it sends to each new client.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::config::server_name;

/// Maximum length of a greeting. Real ones have a few hundred bytes.
const MAX_GREETING_BYTES: u64 = 64 * 1024;

/// The relevant field of a greeting.
#[derive(Deserialize)]
struct Info {
    server_name: String,
}

/// Whether the server of `directory` sends its greeting on `port` of the loopback interface within
/// `timeout`.
pub(crate) fn greets(port: u16, directory: &Path, timeout: Duration) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let greeting = TcpStream::connect_timeout(&address, timeout).and_then(|stream| {
        stream.set_read_timeout(Some(timeout))?;
        let mut line = Vec::new();
        BufReader::new(stream.take(MAX_GREETING_BYTES)).read_until(b'\n', &mut line)?;
        Ok(line)
    });
    greeting.is_ok_and(|line| is_greeting_of(&line, directory))
}

fn is_greeting_of(line: &[u8], directory: &Path) -> bool {
    line.strip_prefix(b"INFO ")
        .and_then(|json| serde_json::from_slice::<Info>(json).ok())
        .is_some_and(|info| info.server_name == server_name(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_with_another_name_is_not_recognised() {
        let directory = Path::new("/home/me/.agentmesh/mesh/0123");
        let ours = b"INFO {\"server_id\":\"N\",\"server_name\":\"oam-0123\",\"port\":1} \r\n";
        assert!(is_greeting_of(ours, directory));
        assert!(!is_greeting_of(ours, Path::new("/mesh/4567")));
        for other in [
            "",
            "INFO ",
            "INFO {\"server_id\":\"N\"}\r\n",
            "INFO {\"server_name\":\"oam-0123\"",
            "220 mail.example ESMTP oam-0123\r\n",
        ] {
            assert!(!is_greeting_of(other.as_bytes(), directory), "{other}");
        }
    }
}
