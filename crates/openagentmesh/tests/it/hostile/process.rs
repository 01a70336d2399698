//! A host in a process of its own, and the memory of that process.

use std::process::Stdio;
use std::time::Duration;

use crate::support::role::role;
use crate::support::within;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;

/// The time in which a host gives its memory back.
const RETURN_TIMEOUT: Duration = Duration::from_secs(30);

/// The allocator of glibc otherwise keeps up to 64 MiB of freed memory for each of its heaps, once large pieces
/// have been freed. See ADR 22.
const FIXED_TRIM_THRESHOLD: (&str, &str) = ("MALLOC_TRIM_THRESHOLD_", "131072");

/// A host process, which ends with the value.
pub(super) struct HostProcess {
    child: Child,
    stderr: JoinHandle<String>,
}

impl HostProcess {
    /// Starts the role [`host`](super::host).
    pub(super) async fn start(url: &str) -> Self {
        let mut child = role("hostile::host")
            .env("OAM_URL", url)
            .env(FIXED_TRIM_THRESHOLD.0, FIXED_TRIM_THRESHOLD.1)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while within(lines.next_line())
            .await
            .unwrap()
            .expect("the host ended")
            != super::READY
        {}
        let mut output = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            // Read until the process ends, so that its pipes never block it.
            let mut stdout = lines.into_inner();
            let (mut errors, mut printed) = (String::new(), String::new());
            let (read, ignored) = tokio::join!(
                output.read_to_string(&mut errors),
                stdout.read_to_string(&mut printed)
            );
            read.and(ignored).unwrap();
            errors
        });
        Self { child, stderr }
    }

    fn status(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().expect("the host ended"));
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line
            .and_then(|line| line.split_whitespace().nth(1))
            .unwrap();
        kib.parse::<u64>().unwrap() / 1024
    }

    /// The memory of the process in MiB.
    pub(super) fn memory_mib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory of the process in MiB since [`reset_peak`](Self::reset_peak).
    pub(super) fn peak_mib(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub(super) fn reset_peak(&self) {
        let path = format!(
            "/proc/{}/clear_refs",
            self.child.id().expect("the host ended")
        );
        std::fs::write(path, "5").unwrap();
    }

    /// Waits until the memory is at most `limit`; returns it in MiB.
    pub(super) async fn memory_returns(&self, limit: u64, after: &str) -> u64 {
        let deadline = tokio::time::Instant::now() + RETURN_TIMEOUT;
        loop {
            let now = self.memory_mib();
            if now <= limit {
                return now;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{after}: {now} MiB after, at most {limit} MiB expected"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the process, and returns what it printed as errors.
    pub(super) async fn end(mut self) -> String {
        within(self.child.kill()).await.unwrap();
        within(self.stderr).await.unwrap()
    }
}
