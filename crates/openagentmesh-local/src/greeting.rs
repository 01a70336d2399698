//! Recognising a server by what it says to whoever connects.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::config::server_name;

/// A greeting has a few hundred bytes.
const LIMIT: u64 = 64 * 1024;

/// What is of interest in a greeting.
#[derive(Deserialize)]
struct Info {
    server_name: String,
}

/// Whether the server of `directory` greets on this port of the loopback interface.
pub(crate) fn greets(port: u16, directory: &Path, patience: Duration) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let greeting = TcpStream::connect_timeout(&address, patience).and_then(|stream| {
        stream.set_read_timeout(Some(patience))?;
        let mut line = Vec::new();
        BufReader::new(stream.take(LIMIT)).read_until(b'\n', &mut line)?;
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
    fn a_greeting_names_the_server() {
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
