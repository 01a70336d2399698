//! The bridge between tasks of the runtime and asyncio.
//!
//! Tasks never run Python code and never wait for the GIL. They push items onto the queue of an event loop
//! (`event_loop`). The first item of an empty queue wakes the loop (`waker`), which then runs all items at once.
//! `operation` makes a future of the loop for a task, `batch` hands over the items of a stream many at a time.

pub(crate) mod batch;
pub(crate) mod event_loop;
pub(crate) mod operation;
mod stats;
mod waker;

pub(crate) use stats::{bridge_stats, RUNNING_REQUESTS};
