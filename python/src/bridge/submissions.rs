//! Work that the thread of an event loop hands over to the runtime.

use std::mem::{replace, take};
use std::sync::Mutex;
use std::task::Waker;

use futures::future::BoxFuture;
use tokio::runtime::Handle;

use crate::runtime;
use crate::sync::lock;

/// Jobs of an iteration that leave before its end, so that the runtime works while the iteration goes on.
const MAX_WAITING_JOBS: usize = 16;

/// Work for the runtime.
pub(crate) enum Job {
    /// A new task.
    Start(BoxFuture<'static, ()>),
    /// A task that waited for the event loop.
    Wake(Waker),
}

impl Job {
    pub(super) fn run(self, runtime: &Handle) {
        match self {
            Self::Start(task) => drop(runtime.spawn(task)),
            Self::Wake(task) => task.wake(),
        }
    }
}

/// The jobs of one iteration of an event loop.
///
/// Waking a thread of the runtime takes longer than a whole request takes otherwise. The jobs of an iteration
/// therefore leave together at its end. If the iteration before had one job at most, the first job leaves at once, so that
/// a single request is not delayed.
#[derive(Default)]
pub(super) struct Submissions(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Job>,
    /// Whether a flush is scheduled.
    is_scheduled: bool,
    /// The jobs of this iteration, and of the one before.
    count: usize,
    previous: usize,
}

/// The parts of a submission that are the caller's.
pub(super) struct Submitted {
    /// A job that leaves at once.
    pub(super) now: Option<Job>,
    /// Jobs that leave at once together.
    pub(super) together: Vec<Job>,
    /// Whether a flush must be scheduled.
    pub(super) must_schedule: bool,
}

impl Submissions {
    pub(super) fn add(&self, job: Job) -> Submitted {
        let mut state = lock(&self.0);
        let must_schedule = !replace(&mut state.is_scheduled, true);
        state.count += 1;
        let now = if must_schedule && state.previous <= 1 {
            Some(job)
        } else {
            state.waiting.push(job);
            None
        };
        let together = match state.waiting.len() >= MAX_WAITING_JOBS {
            true => take(&mut state.waiting),
            false => Vec::new(),
        };
        Submitted {
            now,
            together,
            must_schedule,
        }
    }

    /// Sends the jobs of the iteration on their way.
    pub(super) fn flush(&self, runtime: &Handle) {
        let jobs = {
            let mut state = lock(&self.0);
            state.is_scheduled = false;
            state.previous = take(&mut state.count);
            take(&mut state.waiting)
        };
        run_together(jobs, runtime);
    }

    /// Drops the new tasks of a closed event loop, and wakes the others.
    pub(super) fn clear(&self) {
        let jobs = take(&mut lock(&self.0).waiting);
        for job in jobs {
            match job {
                Job::Start(task) => runtime::dispose(task),
                Job::Wake(task) => task.wake(),
            }
        }
    }
}

/// Runs `jobs` by one task.
pub(super) fn run_together(jobs: Vec<Job>, runtime: &Handle) {
    if jobs.is_empty() {
        return;
    }
    let handle = runtime.clone();
    runtime.spawn(async move {
        for job in jobs {
            job.run(&handle);
        }
    });
}
