//! A release of `nats-server` on a local HTTP server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The archives of all platforms on which the tests run.
const ARCHIVES: [&str; 4] = [
    "nats-server-v2.15.1-linux-amd64.tar.gz",
    "nats-server-v2.15.1-linux-arm64.tar.gz",
    "nats-server-v2.15.1-darwin-amd64.tar.gz",
    "nats-server-v2.15.1-darwin-arm64.tar.gz",
];

/// The behaviour of archive downloads.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Download {
    Whole,
    /// Half of the archive is sent, then the connection is closed.
    Truncated,
    /// Half of the archive is sent, then nothing.
    Stuck,
    /// The archive does not match its SHA-256 sum.
    Changed,
}

/// Serves an archive and its sums until the test ends.
pub(crate) struct Release {
    pub(crate) url: String,
    downloads: Arc<AtomicUsize>,
}

impl Release {
    /// Serves a release whose archive contains `program` as `nats-server`.
    pub(crate) async fn serve(program: &str, download: Download) -> Self {
        Self::serve_file("nats-server", program, download).await
    }

    /// Serves a release whose archive contains `program` as `name`.
    pub(crate) async fn serve_file(name: &str, program: &str, download: Download) -> Self {
        let archive = archive(name, program);
        let mut sum = String::new();
        for byte in digest(&SHA256, &archive).as_ref() {
            sum.push_str(&format!("{byte:02x}"));
        }
        let sums: String = ARCHIVES
            .iter()
            .map(|name| format!("{sum}  {name}\n"))
            .collect();
        let mut files: HashMap<String, Vec<u8>> = HashMap::new();
        let mut served = archive;
        if download == Download::Changed {
            *served.last_mut().unwrap() ^= 1;
        }
        for name in ARCHIVES {
            files.insert(format!("/v/{name}"), served.clone());
        }
        files.insert("/v/SHA256SUMS".to_owned(), sums.into_bytes());

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v", listener.local_addr().unwrap());
        let downloads = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&downloads);
        tokio::spawn(async move {
            let files = Arc::new(files);
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(
                    stream,
                    Arc::clone(&files),
                    download,
                    Arc::clone(&count),
                ));
            }
        });
        Self { url, downloads }
    }

    /// Number of archive downloads that have started.
    pub(crate) fn downloads(&self) -> usize {
        self.downloads.load(Ordering::SeqCst)
    }
}

async fn answer(
    mut stream: TcpStream,
    files: Arc<HashMap<String, Vec<u8>>>,
    download: Download,
    count: Arc<AtomicUsize>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        request.push(byte);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let Some(body) = files.get(path) else {
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(missing).await.unwrap();
        return;
    };
    let is_archive = path.ends_with(".gz");
    count.fetch_add(usize::from(is_archive), Ordering::SeqCst);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let half = &body[..body.len() / 2];
    match download {
        Download::Truncated if is_archive => stream.write_all(half).await.unwrap(),
        Download::Stuck if is_archive => {
            stream.write_all(half).await.unwrap();
            std::future::pending::<()>().await;
        }
        _ => stream.write_all(body).await.unwrap(),
    }
}

fn archive(name: &str, program: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in [
        ("release/README.md", "read me"),
        (&format!("release/{name}"), program),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive
            .append_data(&mut header, path, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
