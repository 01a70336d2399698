//! The memory of a stream whose reader has stopped.

use std::time::{Duration, Instant};

use openagentmesh_local::LocalServer;

use super::measured::{JOB_TIMEOUT, Measured, Size};
use super::processes::memory;
use super::runner::Runner;
use crate::error::Result;
use crate::measure::{BodySize, Contender, Done, Job};
use crate::roles::{Peer, Role};

const READ_INTERVAL: Duration = Duration::from_millis(50);
/// The memory has stopped to grow if it has no new maximum for this time.
const STEADY_TIME: Duration = Duration::from_secs(1);
/// Limit of the time until then.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);

impl Runner {
    /// The largest growth of the resident memory of the host and the reader, in new processes: memory that a process has
    /// used before would hide it. The reader takes one chunk, stops, and reads the other chunks afterwards.
    pub(super) async fn stalled_reader(
        &self,
        contender: Contender,
        megabytes: u32,
    ) -> Result<Measured> {
        let chunks = megabytes * 1_000_000 / u32::try_from(BodySize::Medium.bytes())?;
        let server = LocalServer::start().await?;
        let program = self.programs.bench(contender)?;
        let mut host = Peer::rust(&program, Role::Host, server.url())?;
        host.ready(JOB_TIMEOUT).await?;
        let mut reader = self.worker(contender, server.url()).await?;
        let ends = [host.id()?, reader.id()?];
        let used = || {
            ends.iter()
                .map(|process| memory(*process))
                .sum::<Option<u64>>()
        };
        let before = used();
        let open = Job::OpenStream { chunks };
        reader.ask::<Done>(&open, JOB_TIMEOUT).await?;
        let largest = self.largest(used).await?;
        reader.ask::<Done>(&Job::ReadStream, JOB_TIMEOUT).await?;
        reader.end(JOB_TIMEOUT).await?;
        host.end(JOB_TIMEOUT).await?;
        server.stop().await?;
        let growth = before.zip(largest);
        let growth = growth.map(|(before, largest)| largest.saturating_sub(before));
        Ok(Measured {
            count: megabytes,
            values: vec![growth.map(|bytes| bytes as f64 / f64::from(1 << 20))],
        })
    }

    /// The largest value of `used` until it has no new maximum.
    async fn largest(&self, used: impl Fn() -> Option<u64>) -> Result<Option<u64>> {
        let steady_time = match self.size {
            Size::Tiny => READ_INTERVAL,
            Size::Quick | Size::Full => STEADY_TIME,
        };
        let started = Instant::now();
        let (mut largest, mut reached) = (used(), started);
        while reached.elapsed() < steady_time {
            if started.elapsed() > STALL_TIMEOUT {
                return Err("the memory of the stalled stream grows without an end".into());
            }
            tokio::time::sleep(READ_INTERVAL).await;
            let current = used();
            if current > largest {
                (largest, reached) = (current, Instant::now());
            }
        }
        Ok(largest)
    }
}
