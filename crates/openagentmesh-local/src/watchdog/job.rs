//! A watchdog of Windows: a job object, which ends its processes when its last handle is closed.

use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::process::Child;

use openagentmesh_name::Visible;
use win32job::{ExtendedLimitInfo, Job, JobError};

/// The job of one server. Only this process has its handle, so that the operating system closes the handle when this
/// process ends for any reason. Dropping the value ends the server.
///
/// The directory is left to the next start.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Held until the value is dropped.
    _job: Job,
}

impl Watchdog {
    /// Puts the server into a job. `None` if that fails; then the next start ends the server of a killed owner.
    pub(crate) fn start(server: &Child, _directory: &Path) -> Option<Self> {
        let start = || -> Result<Job, JobError> {
            let mut limits = ExtendedLimitInfo::new();
            limits.limit_kill_on_job_close();
            let job = Job::create_with_limit_info(&limits)?;
            job.assign_process(server.as_raw_handle() as isize)?;
            Ok(job)
        };
        match start() {
            Ok(job) => Some(Self { _job: job }),
            Err(failure) => {
                tracing::warn!(
                    failure = %Visible(&failure),
                    "no watchdog: cannot make a job object; if this process is killed, the next \
                     start ends its nats-server"
                );
                None
            }
        }
    }
}
