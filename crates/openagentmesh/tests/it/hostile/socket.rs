//! A NATS connection that writes any bytes, past every check of a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinHandle;

/// A connection without a subscription: replies to it are lost.
pub(super) struct Socket {
    writer: OwnedWriteHalf,
    /// The number of `PONG`s that have arrived.
    pongs: Arc<AtomicU64>,
    reader: JoinHandle<()>,
    pings: u64,
}

/// A message of a hostile peer.
#[derive(Default)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) reply: String,
    /// The lines of the header block, each with its end; empty for a message without headers.
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn length(&self) -> usize {
        self.headers.len() + self.body.len()
    }
}

impl Socket {
    pub(super) async fn connect(url: &str) -> Self {
        let address = url.trim_start_matches("nats://");
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let connect = b"CONNECT {\"headers\":true,\"verbose\":false}\r\n";
        writer.write_all(connect).await.unwrap();
        let pongs = Arc::<AtomicU64>::default();
        let count = Arc::clone(&pongs);
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            while let Ok(1..) = reader.read_buf(&mut read).await {
                while let Some(end) = read.windows(2).position(|two| two == b"\r\n") {
                    if read.starts_with(b"PONG") {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    assert!(!read.starts_with(b"-ERR"), "{}", read.escape_ascii());
                    read.drain(..end + 2);
                }
            }
        });
        Self {
            writer,
            pongs,
            reader,
            pings: 0,
        }
    }

    pub(super) async fn write(&mut self, message: &Message) {
        let Message {
            subject,
            reply,
            headers,
            body,
        } = message;
        let mut bytes = if headers.is_empty() {
            format!("PUB {subject} {reply} {}\r\n", body.len()).into_bytes()
        } else {
            let block = format!("NATS/1.0\r\n{headers}\r\n");
            let (head, all) = (block.len(), block.len() + body.len());
            format!("HPUB {subject} {reply} {head} {all}\r\n{block}").into_bytes()
        };
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n");
        within(self.writer.write_all(&bytes)).await.unwrap();
    }

    /// Waits until the server has taken all messages.
    pub(super) async fn synchronize(&mut self) {
        self.pings += 1;
        within(self.writer.write_all(b"PING\r\n")).await.unwrap();
        eventually(|| async { (self.pongs.load(Ordering::SeqCst) >= self.pings).then_some(()) })
            .await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
