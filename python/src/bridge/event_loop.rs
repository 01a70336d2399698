//! The queue of an event loop: work that tasks hand over to it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use tokio::runtime::Handle;

use super::counters::{ITEMS, WAKE_UPS};
use super::pending;
use super::submissions::{Job, Submissions, Submitted, run_together};
use super::waker::Waker;
use crate::sync::lock;
use crate::{exit, runtime};

/// Work for the thread of an event loop.
pub(crate) type Item = Box<dyn FnOnce(Python<'_>) + Send>;

/// The items of one event loop.
pub(crate) struct LoopQueue {
    pub(super) id: u64,
    items: Mutex<Items>,
    submissions: Submissions,
    waker: Waker,
}

struct Items {
    waiting: Vec<Item>,
    /// Whether the loop was woken, and has not taken the items yet.
    is_scheduled: bool,
    /// Whether the loop is closed; further items are dropped.
    is_closed: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The queues of all event loops.
static QUEUES: Mutex<Vec<(Py<PyWeakrefReference>, Weak<LoopQueue>)>> = Mutex::new(Vec::new());

thread_local! {
    /// The event loop that this thread has used last, and its queue.
    static LAST: RefCell<Option<(Py<PyWeakrefReference>, Arc<LoopQueue>)>> = const { RefCell::new(None) };
}

static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl LoopQueue {
    /// The queue of the event loop that runs in this thread.
    ///
    /// # Errors
    ///
    /// `RuntimeError` when no event loop runs.
    pub(crate) fn current(py: Python<'_>) -> PyResult<Arc<Self>> {
        Self::of(py, &running_loop(py)?)
    }

    pub(super) fn of(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let last = LAST.with_borrow(|last| {
            let (reference, queue) = last.as_ref()?;
            Some((reference.clone_ref(py), Arc::clone(queue)))
        });
        if let Some((reference, queue)) = last
            && !queue.is_closed()
            && reference
                .bind(py)
                .upgrade()
                .is_some_and(|last| last.is(event_loop))
        {
            return Ok(queue);
        }
        let (reference, queue) = find_or_open(py, event_loop)?;
        let previous = LAST.replace(Some((reference, Arc::clone(&queue))));
        drop(previous);
        Ok(queue)
    }

    fn open(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let new = |waker| {
            Arc::new(Self {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                items: Mutex::new(Items {
                    waiting: Vec::new(),
                    is_scheduled: false,
                    is_closed: false,
                }),
                submissions: Submissions::default(),
                waker,
            })
        };
        #[cfg(unix)]
        if let Ok((read, write)) = std::os::unix::net::UnixStream::pair() {
            use std::os::fd::AsRawFd;
            read.set_nonblocking(true)?;
            write.set_nonblocking(true)?;
            let descriptor = read.as_raw_fd();
            let queue = new(Waker::Socket(write));
            let drain = Drain {
                queue: Arc::clone(&queue),
                socket: Some(read),
            };
            let drain = Bound::new(py, drain)?;
            match event_loop.call_method1("add_reader", (descriptor, &drain)) {
                Ok(_) => return Ok(queue),
                // The loop reads no sockets. Its own function serves.
                Err(_) => drain.get().queue.close(),
            }
        }
        let call_soon = event_loop.getattr("call_soon_threadsafe")?;
        Ok(new(Waker::CallSoon(call_soon.unbind())))
    }

    /// Hands `job` over to the runtime, together with the others of this iteration of the event loop that runs in this
    /// thread; at once if none does. Does nothing in a forked process.
    pub(crate) fn submit(py: Python<'_>, job: Job) {
        let Ok(runtime) = runtime::get() else { return };
        if let Some(event_loop) = running_or_none(py)
            && let Ok(queue) = Self::of(py, &event_loop)
        {
            queue.submit_on(py, &event_loop, runtime.handle(), job);
        } else {
            job.run(runtime.handle());
        }
    }

    /// As [`Self::submit`], on the queue of `event_loop`, which runs in this thread.
    pub(super) fn submit_on(
        self: &Arc<Self>,
        py: Python<'_>,
        event_loop: &Bound<'_, PyAny>,
        runtime: &Handle,
        job: Job,
    ) {
        let Submitted {
            now,
            together,
            must_schedule,
        } = self.submissions.add(job);
        if let Some(job) = now {
            job.run(runtime);
        }
        run_together(together, runtime);
        if must_schedule {
            let flush = Bound::new(py, Flush(Arc::clone(self)));
            let scheduled =
                flush.and_then(|flush| event_loop.call_method1(intern!(py, "call_soon"), (flush,)));
            if scheduled.is_err() {
                self.submissions.flush(runtime);
            }
        }
    }

    /// Hands `item` over to the event loop. Returns `false` if the loop is closed; the item is then dropped.
    pub(crate) fn push(self: &Arc<Self>, item: Item) -> bool {
        let must_wake = {
            let mut items = lock(&self.items);
            if items.is_closed {
                drop(items);
                return false;
            }
            items.waiting.push(item);
            !std::mem::replace(&mut items.is_scheduled, true)
        };
        if must_wake {
            WAKE_UPS.fetch_add(1, Ordering::Relaxed);
            let queue = Arc::clone(self);
            self.waker.wake(move |py| queue.call_soon(py));
        }
        true
    }

    /// Runs the waiting items.
    fn run(&self, py: Python<'_>) {
        let items = {
            let mut items = lock(&self.items);
            items.is_scheduled = false;
            std::mem::take(&mut items.waiting)
        };
        ITEMS.fetch_add(items.len() as u64, Ordering::Relaxed);
        let mut items = items.into_iter();
        let Some(_inside) = exit::enter() else { return };
        for item in items.by_ref() {
            if exit::is_begun() {
                break;
            }
            // The other items must run. The panic hook has printed the panic.
            let _ = catch_unwind(AssertUnwindSafe(|| item(py)));
        }
    }

    /// Asks the event loop by its own function to run the items.
    fn call_soon(self: &Arc<Self>, py: Python<'_>) {
        let drain = Drain {
            queue: Arc::clone(self),
            socket: None,
        };
        let drain = Bound::new(py, drain).map(Bound::into_any);
        if !drain.is_ok_and(|drain| self.waker.call_soon(py, drain)) {
            self.close();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.items).is_closed
    }

    /// Ends the operations of a closed event loop. Later items are dropped.
    fn close(&self) {
        let waiting = {
            let mut items = lock(&self.items);
            items.is_closed = true;
            std::mem::take(&mut items.waiting)
        };
        drop(waiting);
        self.submissions.clear();
        pending::abandon(self.id);
    }
}

/// The running event loop of this thread.
///
/// # Errors
///
/// `RuntimeError` when there is none.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    running_or_none(py).ok_or_else(|| {
        PyRuntimeError::new_err(
            "no running event loop: this method is for coroutines; in a script use `mesh.sync`, or asyncio.run()",
        )
    })
}

/// The running event loop of this thread, if there is one.
fn running_or_none(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // Unlike `get_running_loop`, the function makes no exception.
    let function = GET_RUNNING_LOOP.import(py, "asyncio", "_get_running_loop");
    let event_loop = function.and_then(|function| function.call0()).ok()?;
    (!event_loop.is_none()).then_some(event_loop)
}

/// The queue of `event_loop`, which another thread may have opened. Queues of closed loops are removed.
fn find_or_open(
    py: Python<'_>,
    event_loop: &Bound<'_, PyAny>,
) -> PyResult<(Py<PyWeakrefReference>, Arc<LoopQueue>)> {
    let known: Vec<_> = {
        let mut queues = lock(&QUEUES);
        queues.retain(|(_, queue)| queue.strong_count() > 0);
        let known = queues.iter();
        known
            .filter_map(|(reference, queue)| Some((reference.clone_ref(py), queue.upgrade()?)))
            .collect()
    };
    for (reference, queue) in known {
        if queue.is_closed() {
            continue;
        }
        let is_closed = match reference.bind(py).upgrade() {
            Some(known) if known.is(event_loop) => return Ok((reference, queue)),
            Some(known) => known.call_method0("is_closed")?.is_truthy()?,
            None => true,
        };
        if is_closed {
            queue.close();
        }
    }
    let queue = LoopQueue::open(py, event_loop)?;
    let reference = PyWeakrefReference::new(event_loop)?.unbind();
    lock(&QUEUES).push((reference.clone_ref(py), Arc::downgrade(&queue)));
    Ok((reference, queue))
}

/// The number of event loops that have a queue.
pub(super) fn count() -> usize {
    let is_open = |(_, queue): &&(_, Weak<LoopQueue>)| {
        queue.upgrade().is_some_and(|queue| !queue.is_closed())
    };
    lock(&QUEUES).iter().filter(is_open).count()
}

/// The callable by which an event loop ends an iteration that has submitted jobs.
#[pyclass(frozen, module = "openagentmesh._core")]
struct Flush(Arc<LoopQueue>);

#[pymethods]
impl Flush {
    fn __call__(&self) -> PyResult<()> {
        self.0.submissions.flush(runtime::get()?.handle());
        Ok(())
    }
}

/// The callable by which an event loop runs the items of its queue.
///
/// The event loop owns the callable, and drops it when it is closed.
#[pyclass(frozen, module = "openagentmesh._core")]
pub(super) struct Drain {
    queue: Arc<LoopQueue>,
    /// The socket that wakes the loop; `None` if the loop's own function does.
    #[cfg(unix)]
    socket: Option<std::os::unix::net::UnixStream>,
    #[cfg(not(unix))]
    socket: Option<()>,
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) {
        #[cfg(unix)]
        if let Some(socket) = &self.socket {
            use std::io::Read;
            let mut bytes = [0; 16];
            let _ = (&*socket).read(&mut bytes);
        }
        #[cfg(not(unix))]
        let _ = self.socket;
        self.queue.run(py);
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if self.socket.is_some() && !crate::runtime::is_forked() {
            // The loop was closed.
            self.queue.close();
        }
    }
}
