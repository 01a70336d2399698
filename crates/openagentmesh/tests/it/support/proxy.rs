//! A TCP proxy that loses connections while the server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::TestMesh;

/// Forwards connections to the server, and can cut them.
pub(crate) struct Proxy {
    pub(crate) url: String,
    cut: Arc<Notify>,
    is_open: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(test: &TestMesh) -> Self {
        Self::to(test.server.url()).await
    }

    /// Stands before the server at URL `server`.
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let server = server.trim_start_matches("nats://").to_owned();
        let cut = Arc::new(Notify::new());
        let is_open = Arc::new(AtomicBool::new(true));
        let (cuts, open) = (cut.clone(), is_open.clone());
        let accepted = Arc::<AtomicUsize>::default();
        let count = accepted.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let mut server = TcpStream::connect(&server).await.unwrap();
                let cuts = cuts.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = cuts.notified() => {}
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        Self {
            url,
            cut,
            is_open,
            accepted,
            accepting,
        }
    }

    /// The number of connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Closes all connections. New ones are accepted.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Accepts no further connections until [`Proxy::open`].
    pub(crate) fn refuse(&self) {
        self.is_open.store(false, Ordering::SeqCst);
    }

    /// Closes all connections, and accepts none until [`Proxy::open`].
    pub(crate) fn close(&self) {
        self.refuse();
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
