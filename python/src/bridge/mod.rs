//! The bridge between tasks of the runtime and asyncio.
//!
//! Tasks never run Python code and never wait for the GIL. They push items onto the queue of an event loop
//! (`event_loop`). The first item of an empty queue wakes the loop (`waker`), which then runs all items at once. In the
//! other direction, the jobs of one iteration of a loop reach the runtime together (`submissions`).
//! `operation` makes a future of the loop for a task, and
//! `pending` has those without a result; `batch` hands over the items of a stream many at a time.

pub(crate) mod batch;
mod counters;
pub(crate) mod event_loop;
pub(crate) mod operation;
mod pending;
mod stats;
mod submissions;
mod time_slice;
mod waker;

pub(crate) use counters::RUNNING_REQUESTS;
pub(crate) use stats::bridge_stats;
pub(crate) use submissions::Job;
pub(crate) use time_slice::TimeSlice;
