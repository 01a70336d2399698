//! The NATS client of a connection, which is replaced when it dies.
//!
//! The client of async-nats 0.51 panics in its connection task on a message whose header value has a bare carriage
//! return, which any peer may send. All its subscriptions end then, and every use of it fails.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use async_nats::client::SubscribeError;
use async_nats::{Client, Subject, Subscriber, jetstream};
use futures::Sink;
use tokio::sync::{RwLock, RwLockReadGuard, watch};
use tokio::task::{coop, yield_now};
use tokio_util::sync::CancellationToken;

use super::headers::closed;
use super::renewal::Renewal;
use crate::error::Result;
use crate::util::sync::Mutex;

/// The number of times that a task yields until the channel of a dead client is closed, which is nearly always so
/// at once.
const MAX_YIELDS: usize = 1000;

/// The place of a connection's current client. Clones share it.
#[derive(Clone)]
pub(crate) struct ClientSlot(Arc<Shared>);

struct Shared {
    current: watch::Sender<Current>,
    /// The epoch of `current`, which every message that is published reads.
    epoch: AtomicU64,
    /// The subscriptions that each further client makes again, by number.
    renewals: Mutex<HashMap<u64, Arc<Renewal>>>,
    next_number: AtomicU64,
    /// Held for reading while a subscription is added, for writing while the client is replaced: a client either has a
    /// subscription from the start, or makes it again.
    replacing: RwLock<()>,
    /// Whether a dead client is replaced. A client that the program has made is not.
    is_replaceable: bool,
    /// Cancelled when the connection is closed. A dead client is not replaced then.
    closed: CancellationToken,
}

#[derive(Clone)]
pub(super) struct Current {
    client: Client,
    jetstream: jetstream::Context,
    /// Incremented by a death and by a replacement: odd while the client is dead.
    epoch: u64,
}

impl Current {
    fn new(client: Client, epoch: u64) -> Self {
        Self {
            jetstream: jetstream::new(client.clone()),
            client,
            epoch,
        }
    }

    fn is_alive(&self) -> bool {
        is_living(self.epoch)
    }
}

/// Whether the client of `epoch` is not known to be dead.
pub(super) fn is_living(epoch: u64) -> bool {
    epoch.is_multiple_of(2)
}

impl ClientSlot {
    /// `is_replaceable` says whether a dead client is replaced, until `closed` is cancelled.
    pub(super) fn new(client: Client, is_replaceable: bool, closed: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            current: watch::channel(Current::new(client, 0)).0,
            epoch: AtomicU64::new(0),
            renewals: Mutex::default(),
            next_number: AtomicU64::new(0),
            replacing: RwLock::default(),
            is_replaceable,
            closed,
        }))
    }

    /// A slot whose client is never replaced.
    pub(super) fn fixed(client: Client) -> Self {
        Self::new(client, false, CancellationToken::new())
    }

    /// The current client, which may be dead.
    pub(crate) fn client(&self) -> Client {
        self.0.current.borrow().client.clone()
    }

    /// JetStream by the current client.
    pub(crate) fn jetstream(&self) -> jetstream::Context {
        self.0.current.borrow().jetstream.clone()
    }

    /// Calls `read` with the current client, for what a clone of the client would cost too much: it allocates.
    pub(super) fn with_client<T>(&self, read: impl FnOnce(&Client) -> T) -> T {
        read(&self.0.current.borrow().client)
    }

    /// The maximum size of a message, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        self.0.current.borrow().client.max_payload()
    }

    /// Cancelled when the connection is closed.
    pub(super) fn closed(&self) -> CancellationToken {
        self.0.closed.clone()
    }

    /// The number of deaths and replacements of clients.
    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// The current client and its epoch.
    pub(super) fn client_of_epoch(&self) -> (Client, u64) {
        let current = self.0.current.borrow();
        (current.client.clone(), current.epoch)
    }

    /// Whether the current client has not died. Its connection may be lost.
    pub(super) fn is_alive(&self) -> bool {
        self.0.current.borrow().is_alive()
    }

    /// Whether the client of `epoch` is dead, also before its death is known.
    pub(super) fn has_died_since(&self, epoch: u64) -> bool {
        let current = self.0.current.borrow();
        current.epoch > epoch || is_dead(&current.client)
    }

    /// Waits for a living client after the one of `epoch`. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the client is not replaced any further: the connection is closed.
    pub(super) async fn next_client(&self, epoch: u64) -> Result<()> {
        self.wait_for(|current| current.epoch > epoch && current.is_alive())
            .await
            .ok_or_else(|| closed("its NATS client has ended"))
    }

    /// Waits until the death of the client of `epoch` is known. `None` when no death is reported: the connection is
    /// closed. Cancel-safe.
    pub(super) async fn death(&self, epoch: u64) -> Option<()> {
        self.wait_for(|current| current.epoch > epoch).await
    }

    async fn wait_for(&self, mut is_awaited: impl FnMut(&Current) -> bool) -> Option<()> {
        if !self.0.is_replaceable {
            return None;
        }
        let mut current = self.0.current.subscribe();
        let waiting = async {
            // The sender is in `self`.
            drop(current.wait_for(&mut is_awaited).await);
        };
        self.0.closed.run_until_cancelled(waiting).await
    }

    /// Keeps the current client until the guard is dropped.
    pub(super) async fn keep_client(&self) -> RwLockReadGuard<'_, ()> {
        self.0.replacing.read().await
    }

    /// Whether a dead client is replaced from now on.
    pub(super) fn may_be_replaced(&self) -> bool {
        self.0.is_replaceable && !self.0.closed.is_cancelled()
    }

    /// Makes a subscription again by each further client, until its number is [forgotten](Self::forget). To be called
    /// while the client is [kept](Self::keep_client) that has made it.
    pub(super) fn add(&self, renewal: &Arc<Renewal>) -> u64 {
        let number = self.0.next_number.fetch_add(1, Ordering::Relaxed);
        if self.0.is_replaceable {
            let mut renewals = self.0.renewals.lock();
            renewals.insert(number, Arc::clone(renewal));
        }
        number
    }

    /// Subscribes to `subject` until the current client dies.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn subscribe_once(&self, subject: impl Into<Subject>) -> Result<Subscriber> {
        let subject = subject.into();
        loop {
            let (client, epoch) = self.client_of_epoch();
            match client.subscribe(subject.clone()).await {
                Ok(subscriber) => return Ok(subscriber),
                Err(error) if !is_dead(&client) => return Err(closed(error.to_string())),
                Err(_) => self.next_client(epoch).await?,
            }
        }
    }

    /// The subscription `number` is not made again.
    pub(super) fn forget(&self, number: u64) {
        self.0.renewals.lock().remove(&number);
    }

    /// Declares the current client dead, once no message can be handed to it.
    pub(super) async fn retire(&self) {
        let client = self.client();
        for _ in 0..MAX_YIELDS {
            if is_dead(&client) {
                break;
            }
            yield_now().await;
        }
        self.0.current.send_modify(|current| {
            current.epoch += 1;
            self.0.epoch.store(current.epoch, Ordering::Release);
        });
    }

    /// The addresses of further servers that the current client has discovered.
    pub(super) fn discovered_servers(&self) -> Vec<String> {
        let info = self.client().try_server_info();
        info.map_or_else(Vec::new, |info| info.connect_urls)
    }

    /// Puts `client` in the place of the dead one, after it has made all subscriptions again.
    ///
    /// # Errors
    ///
    /// When `client` has died, too.
    pub(super) async fn replace(&self, client: Client) -> Result<(), SubscribeError> {
        let _replacing = self.0.replacing.write().await;
        let renewals: Vec<_> = self.0.renewals.lock().values().cloned().collect();
        let mut renewed = Vec::with_capacity(renewals.len());
        for renewal in renewals {
            let subscriber = renewal.subscribe(&client).await?;
            renewed.push((renewal, subscriber));
        }
        self.0.current.send_modify(|current| {
            let epoch = current.epoch + 1;
            for (renewal, subscriber) in renewed {
                renewal.renew(subscriber, epoch);
            }
            *current = Current::new(client, epoch);
            self.0.epoch.store(epoch, Ordering::Release);
        });
        Ok(())
    }

    pub(super) fn downgrade(&self) -> WeakSlot {
        WeakSlot(Arc::downgrade(&self.0))
    }
}

/// A [`ClientSlot`] that keeps no client alive.
pub(super) struct WeakSlot(Weak<Shared>);

impl WeakSlot {
    pub(super) fn upgrade(&self) -> Option<ClientSlot> {
        self.0.upgrade().map(ClientSlot)
    }
}

/// Whether the connection task of `client` has ended.
pub(super) fn is_dead(client: &Client) -> bool {
    // A clone asks for room itself. Only a closed channel is an error.
    let mut sink = client.clone();
    let mut room = std::pin::pin!(coop::unconstrained(std::future::poll_fn(|context| {
        Pin::new(&mut sink).poll_ready(context)
    })));
    let room = room.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    matches!(room, Poll::Ready(Err(_)))
}
