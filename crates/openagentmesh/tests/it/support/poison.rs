//! Messages whose header block the NATS client cannot read.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::within;

/// A header block that ends the connection of a client that receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Poison {
    pub(crate) name: &'static str,
    pub(crate) headers: &'static [u8],
    /// Whether a stored message with it is malformed, not a value.
    pub(crate) is_malformed: bool,
}

/// The kinds after which the client reconnects.
pub(crate) const RECONNECTING: [Poison; 5] = [
    poison("not UTF-8", b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n", false),
    poison("no colon", b"NATS/1.0\r\nno colon\r\n\r\n", true),
    poison("no version", b"X: y\r\n\r\n", true),
    poison("a word as status", b"NATS/1.0 WORD\r\n\r\n", false),
    poison("a space in a name", b"NATS/1.0\r\na b: c\r\n\r\n", false),
];

/// The kind after which the client has to be replaced.
pub(crate) const BARE_CR: Poison = poison("a bare CR", b"NATS/1.0\r\nX: a\rb\r\n\r\n", false);

/// All kinds.
pub(crate) const POISONS: [Poison; 6] = [
    BARE_CR,
    RECONNECTING[0],
    RECONNECTING[1],
    RECONNECTING[2],
    RECONNECTING[3],
    RECONNECTING[4],
];

const fn poison(name: &'static str, headers: &'static [u8], is_malformed: bool) -> Poison {
    Poison {
        name,
        headers,
        is_malformed,
    }
}

/// Publishes a message with the header block `headers` past every check of a client, and waits until the server has
/// processed it. For a subject of a bucket, that is when the message is stored.
pub(crate) async fn publish(url: &str, subject: impl AsRef<[u8]>, headers: &[u8], body: &[u8]) {
    let subject = subject.as_ref();
    let address = url.trim_start_matches("nats://").to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let (head, all) = (headers.len(), headers.len() + body.len());
    let is_stored = subject.starts_with(b"$KV.") || subject.starts_with(b"$O.");
    let (reply, processed) = match is_stored {
        true => (" stored", "MSG stored "),
        false => ("", "PONG"),
    };
    let begin = b"CONNECT {\"headers\":true,\"verbose\":false}\r\nSUB stored 1\r\nHPUB ";
    let sizes = format!("{reply} {head} {all}\r\n");
    let message = [
        begin,
        subject,
        sizes.as_bytes(),
        headers,
        body,
        b"\r\nPING\r\n",
    ]
    .concat();
    writer.write_all(&message).await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    loop {
        let line = within(lines.next_line()).await.unwrap().unwrap();
        if line.starts_with(processed) {
            return;
        }
    }
}
