//! Messages that no client library would send, written to a socket of their own.

use openagentmesh_local::LocalServer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::within;

/// A kind of header block that the NATS client cannot read: the name of the kind, and the block.
pub(crate) type Poison = (&'static str, &'static [u8]);

/// The client panics on the first one, and drops its connection on the others.
pub(crate) const POISONS: [Poison; 5] = [
    ("a bare carriage return", b"NATS/1.0\r\nX: a\rb\r\n\r\n"),
    (
        "bytes that are not UTF-8",
        b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n",
    ),
    ("a line without a colon", b"NATS/1.0\r\nno colon\r\n\r\n"),
    ("no version", b"X: a\r\n\r\n"),
    ("a word as status", b"NATS/1.0 word\r\n\r\n"),
];

/// Publishes a message with the header block `headers`, and waits until the server has processed it.
pub(crate) async fn publish(server: &LocalServer, subject: &str, headers: &[u8], body: &[u8]) {
    let address = server.url().trim_start_matches("nats://").to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let (head, all) = (headers.len(), headers.len() + body.len());
    let mut message = format!(
        "CONNECT {{\"headers\":true,\"verbose\":false}}\r\nHPUB {subject} {head} {all}\r\n"
    )
    .into_bytes();
    message.extend_from_slice(headers);
    message.extend_from_slice(body);
    message.extend_from_slice(b"\r\nPING\r\n");
    writer.write_all(&message).await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    while within(lines.next_line()).await.unwrap().unwrap() != "PONG" {}
}
