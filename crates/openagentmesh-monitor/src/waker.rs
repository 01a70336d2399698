//! Wakes the monitor when a client has disconnected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::disconnect::Disconnect;

/// The number of disconnects that wait for the monitor. Beyond it, the monitor looks at all instances.
const MAX_QUEUED: usize = 256;

/// Wakes a monitor. Cheap to clone; does nothing once the monitor is dropped.
#[derive(Debug, Clone)]
pub struct Waker {
    queue: mpsc::Sender<Disconnect>,
    look_at_all: Arc<LookAtAll>,
}

#[derive(Debug, Default)]
struct LookAtAll {
    is_set: AtomicBool,
    notify: Notify,
}

/// The monitor's end of its wakers.
#[derive(Debug)]
pub(crate) struct Wakeups {
    queue: mpsc::Receiver<Disconnect>,
    look_at_all: Arc<LookAtAll>,
}

/// The reasons of a wake-up.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    pub(crate) disconnects: Vec<Disconnect>,
    /// Whether there may be more disconnects than the list has.
    pub(crate) look_at_all: bool,
}

impl Wakeup {
    /// Whether there is a reason.
    pub(crate) fn is_set(&self) -> bool {
        self.look_at_all || !self.disconnects.is_empty()
    }
}

pub(crate) fn channel() -> (Waker, Wakeups) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    let look_at_all = Arc::<LookAtAll>::default();
    let waker = Waker {
        queue: sender,
        look_at_all: Arc::clone(&look_at_all),
    };
    let wakeups = Wakeups {
        queue: receiver,
        look_at_all,
    };
    (waker, wakeups)
}

impl Waker {
    /// Tells the monitor that a client has disconnected. Never waits.
    pub fn disconnected(&self, disconnect: Disconnect) {
        if self.queue.try_send(disconnect).is_err() {
            self.look_at_all();
        }
    }

    /// Makes the monitor look at all instances, as after a gap in the advisories.
    pub fn look_at_all(&self) {
        self.look_at_all.is_set.store(true, Ordering::Release);
        self.look_at_all.notify.notify_one();
    }
}

impl Wakeups {
    /// Waits for the next reason, and returns it with all that are there. Cancel-safe. Never resolves once all wakers
    /// are dropped.
    pub(crate) async fn next(&mut self) -> Wakeup {
        let first = tokio::select! {
            first = self.queue.recv() => first,
            () = self.look_at_all.notify.notified() => None,
        };
        if first.is_none() && !self.look_at_all.is_set.load(Ordering::Acquire) {
            // All wakers are gone, or this is the rest of an earlier notification.
            if self.queue.is_closed() {
                return std::future::pending().await;
            }
        }
        let mut disconnects: Vec<_> = first.into_iter().collect();
        while let Ok(disconnect) = self.queue.try_recv() {
            disconnects.push(disconnect);
        }
        Wakeup {
            disconnects,
            look_at_all: self.look_at_all.is_set.swap(false, Ordering::AcqRel),
        }
    }
}
