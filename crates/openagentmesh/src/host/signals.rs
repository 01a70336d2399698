//! What callers say while their request is worked on: that they can take more chunks, or that they
//! do not wait any longer. The server says the latter for those that are gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use futures::StreamExt;
use openagentmesh_protocol::CallerSignal as Said;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::transport::{self, Received};

/// The subjects of a host on which callers can be heard: one subscription for all requests.
pub(super) struct SignalRouter {
    client: Client,
    prefix: String,
    next: AtomicU64,
    heard: Arc<Listeners>,
    reader: OnceCell<AbortHandle>,
}

type Listeners = Mutex<HashMap<u64, Arc<Heard>>>;

/// What was heard of one request's caller.
struct Heard {
    /// Chunks that the caller can take; none are counted where it does not count them.
    credit: Option<Semaphore>,
    gone: CancellationToken,
    /// How often the server said that nobody is there, where that alone does not mean gone.
    absences: Option<AtomicU64>,
}

impl SignalRouter {
    pub(super) fn new(client: Client) -> Self {
        Self {
            prefix: client.new_inbox(),
            client,
            next: AtomicU64::new(0),
            heard: Arc::default(),
            reader: OnceCell::new(),
        }
    }

    /// Starts to listen, if that was not done before.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn start(&self) -> Result<()> {
        let started = self.reader.get_or_try_init(|| async {
            let messages = self
                .client
                .subscribe(format!("{}.*", self.prefix))
                .await
                .map_err(|error| transport::closed(error.to_string()))?;
            let reader = tokio::spawn(read(messages, Arc::clone(&self.heard)));
            Ok(reader.abort_handle())
        });
        started.await.map(|_| ())
    }

    /// A subject for the chunks of one request. `credit` is how many its caller can take, if it
    /// counts them. A chunk that nobody takes means that the caller is gone.
    pub(super) fn listen_to_consumer(&self, credit: Option<u32>) -> SignalHandle {
        self.listen(Heard {
            // Without any there would never be a chunk on whose subject more could be given.
            credit: credit.map(|credit| Semaphore::new(permits(credit.max(1)))),
            gone: CancellationToken::new(),
            absences: None,
        })
    }

    /// A subject for the probes of one request. One that nobody takes may only mean that the caller
    /// has lost its connection for a moment.
    pub(super) fn listen_to_caller(&self) -> SignalHandle {
        self.listen(Heard {
            credit: None,
            gone: CancellationToken::new(),
            absences: Some(AtomicU64::new(0)),
        })
    }

    fn listen(&self, heard: Heard) -> SignalHandle {
        let heard = Arc::new(heard);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.heard).insert(number, Arc::clone(&heard));
        SignalHandle {
            subject: format!("{}.{number}", self.prefix).into(),
            number,
            heard,
            listeners: Arc::clone(&self.heard),
        }
    }
}

impl Drop for SignalRouter {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }
}

/// Tells each listener what its caller said. Ends with the connection.
async fn read(mut messages: Subscriber, listeners: Arc<Listeners>) {
    while let Some(message) = messages.next().await {
        let number = message.subject.rsplit('.').next();
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            continue;
        };
        let heard = lock(&listeners).get(&number).cloned();
        // A request that is over has nobody listening.
        if let Some(heard) = heard {
            heard.take_in(&message);
        }
    }
}

impl Heard {
    fn take_in(&self, message: &Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            match &self.absences {
                Some(absences) => drop(absences.fetch_add(1, Ordering::Relaxed)),
                None => self.gone.cancel(),
            }
            return;
        }
        match Said::read(&Received(message.headers.as_ref())) {
            Some(Said::Cancel) => self.gone.cancel(),
            Some(Said::Credit(chunks)) => {
                if let Some(credit) = &self.credit {
                    // Only this task adds, so that the sum stays below what a semaphore can hold.
                    let room = permits(u32::MAX).saturating_sub(credit.available_permits());
                    credit.add_permits(permits(chunks).min(room));
                }
            }
            _ => {}
        }
    }
}

fn permits(chunks: u32) -> usize {
    usize::try_from(chunks).map_or(Semaphore::MAX_PERMITS, |n| n.min(Semaphore::MAX_PERMITS))
}

/// Where one request's caller is heard, until it is dropped.
pub(super) struct SignalHandle {
    subject: Subject,
    number: u64,
    heard: Arc<Heard>,
    listeners: Arc<Listeners>,
}

impl SignalHandle {
    /// The subject that the caller, or the server in its place, answers on.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Waits until the caller does not wait any longer. Cancel-safe.
    pub(super) async fn gone(&self) {
        self.heard.gone.cancelled().await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.heard.gone.is_cancelled()
    }

    /// How many probes nobody took.
    pub(super) fn absences(&self) -> u64 {
        let absences = self.heard.absences.as_ref();
        absences.map_or(0, |absences| absences.load(Ordering::Relaxed))
    }

    /// Counts a chunk, if the caller can take it now.
    pub(super) fn one_chunk_now(&self) -> bool {
        let Some(credit) = &self.heard.credit else {
            return true;
        };
        let permit = credit.try_acquire();
        permit.map(SemaphorePermit::forget).is_ok()
    }

    /// Waits until the caller can take a chunk, and counts it. Cancel-safe.
    pub(super) async fn one_chunk(&self) {
        if let Some(credit) = &self.heard.credit
            // The semaphore is never closed.
            && let Ok(permit) = credit.acquire().await
        {
            permit.forget();
        }
    }
}

impl Drop for SignalHandle {
    fn drop(&mut self) {
        lock(&self.listeners).remove(&self.number);
    }
}

/// Nothing that holds the lock can panic halfway through a change.
fn lock(listeners: &Listeners) -> MutexGuard<'_, HashMap<u64, Arc<Heard>>> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}
