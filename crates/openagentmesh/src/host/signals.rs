//! Signals from callers to running requests: credit for more chunks, or a cancel message. The server
//! reports a message without a subscriber.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use openagentmesh_protocol::CallerSignal;
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::transport::{
    ClientSlot, Entry, Multiplexer, Numbered, NumberedMessages, Outgoing, Publisher, Received,
    Table,
};

/// The limit of the wait for an echo.
const ECHO_TIMEOUT: Duration = Duration::from_secs(2);

/// The signal subjects of a host: one subscription for all its requests.
///
/// The host puts the subject of a request as the reply subject on its chunks and probes.
pub(super) struct SignalRouter {
    subjects: Multiplexer<Arc<CallerState>>,
    /// The number of echoes that were sent.
    echoes: AtomicU64,
    /// The last echo that came back. Locked while one is under way.
    last_echo: Mutex<u64>,
}

/// The signals of one request's caller: written by the reader, read through the [`SignalHandle`].
struct CallerState {
    /// The number of chunks that the caller can take; `None` if the caller does not count them.
    credit: Option<Semaphore>,
    /// Fires when the caller has sent a cancel message, or is known to be disconnected.
    disconnected: CancellationToken,
    /// The number of probes without a subscriber; `None` where the first message without a subscriber means
    /// that the caller is disconnected.
    missed_probes: Option<AtomicU64>,
    /// Notified when the caller says that it still waits.
    waiting: Notify,
}

impl SignalRouter {
    /// `ended` ends the subscription.
    pub(super) fn new(slot: &ClientSlot, ended: CancellationToken) -> Self {
        Self {
            subjects: Multiplexer::new(slot, slot.client().new_inbox(), ended),
            echoes: AtomicU64::new(0),
            last_echo: Mutex::new(0),
        }
    }

    /// Subscribes, unless that was done before.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn start(&self) -> Result<()> {
        let table = Arc::clone(self.subjects.table());
        let read = move |signals| read(signals, Arc::clone(&table));
        self.subjects.start(read).await
    }

    /// A handle for the chunks of one request. `credit` is the number of chunks that the caller can take,
    /// if the caller counts them. A chunk without a subscriber means that the caller is
    /// disconnected.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) fn stream_handle(&self, credit: Option<u32>) -> Result<SignalHandle> {
        self.handle(CallerState {
            // A credit of 0 would block the stream: credit arrives on the subject of a chunk.
            credit: credit.map(|credit| Semaphore::new(permits(credit.max(1)))),
            disconnected: CancellationToken::new(),
            missed_probes: None,
            waiting: Notify::new(),
        })
    }

    /// A handle for the probes of one request. A probe without a subscriber is counted only: the caller may
    /// be reconnecting.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) fn probe_handle(&self) -> Result<SignalHandle> {
        self.handle(CallerState {
            credit: None,
            disconnected: CancellationToken::new(),
            missed_probes: Some(AtomicU64::new(0)),
            waiting: Notify::new(),
        })
    }

    /// Waits until all signals are read that the server has sent before, and the server has processed all messages of
    /// this process: an echo follows them. Requests that wait at the same time share one echo. Without an echo, the wait
    /// ends after [`ECHO_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn catch_up(&self, publisher: &Publisher) -> Result<()> {
        let sent_before = self.echoes.load(Ordering::SeqCst);
        let mut last_echo = self.last_echo.lock().await;
        if *last_echo > sent_before {
            return Ok(());
        }
        let echo = self.echoes.fetch_add(1, Ordering::SeqCst) + 1;
        let handle = self.probe_handle()?;
        let mut headers = Outgoing::default();
        CallerSignal::Cancel.write(&mut headers);
        let subject = handle.subject().clone();
        let sent = publisher.publish(subject, None, headers.0, Bytes::new());
        sent.await?;
        // The server may not permit it.
        if timeout(ECHO_TIMEOUT, handle.disconnected()).await.is_err() {
            tracing::debug!("no echo from the server");
        }
        *last_echo = echo;
        Ok(())
    }

    fn handle(&self, state: CallerState) -> Result<SignalHandle> {
        let state = Arc::new(state);
        let entry = self.subjects.add(Arc::clone(&state))?;
        Ok(SignalHandle {
            subject: entry.subject().into(),
            state,
            _entry: entry,
        })
    }
}

/// Passes each signal to the request that it is for. A signal for a request that has ended is ignored.
async fn read(mut signals: NumberedMessages, table: Arc<Table<Arc<CallerState>>>) {
    while let Some(event) = signals.next().await {
        // Requests outlive the client by which they arrived.
        if let Numbered::Message(number, signal) = event
            && let Some(state) = table.with(number, |state| Arc::clone(state))
        {
            state.apply(&signal);
        }
    }
}

impl CallerState {
    fn apply(&self, message: &Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            match &self.missed_probes {
                Some(missed) => drop(missed.fetch_add(1, Ordering::Relaxed)),
                None => self.disconnected.cancel(),
            }
            return;
        }
        match CallerSignal::read(&Received(message.headers.as_ref())) {
            Some(CallerSignal::Cancel) => self.disconnected.cancel(),
            Some(CallerSignal::Waiting) => self.waiting.notify_one(),
            Some(CallerSignal::Credit(chunks)) => {
                if let Some(credit) = &self.credit {
                    // Only the reader adds permits, so that the sum stays within the semaphore's limit.
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

/// The signals of one request's caller. Dropping the handle ends the route.
pub(super) struct SignalHandle {
    subject: Subject,
    state: Arc<CallerState>,
    _entry: Entry<Arc<CallerState>>,
}

impl SignalHandle {
    /// The subject on which the caller, or the server in its place, answers.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Resolves when the caller has disconnected. Cancel-safe.
    pub(super) async fn disconnected(&self) {
        self.state.disconnected.cancelled().await;
    }

    /// Resolves when the caller has said that it still waits. Cancel-safe.
    pub(super) async fn still_waits(&self) {
        self.state.waiting.notified().await;
    }

    pub(super) fn is_disconnected(&self) -> bool {
        self.state.disconnected.is_cancelled()
    }

    /// The number of probes without a subscriber.
    pub(super) fn missed_probes(&self) -> u64 {
        let missed = self.state.missed_probes.as_ref();
        missed.map_or(0, |missed| missed.load(Ordering::Relaxed))
    }

    /// Takes credit for one chunk, if there is any now.
    pub(super) fn try_take_credit(&self) -> bool {
        let Some(credit) = &self.state.credit else {
            return true;
        };
        let permit = credit.try_acquire();
        permit.map(SemaphorePermit::forget).is_ok()
    }

    /// Waits for credit for one chunk, and takes it. Cancel-safe.
    pub(super) async fn take_credit(&self) {
        if let Some(credit) = &self.state.credit
            // The semaphore is never closed.
            && let Ok(permit) = credit.acquire().await
        {
            permit.forget();
        }
    }
}
