//! The host processes, and their disturbances.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, ChildStdin};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::agents::{INDEX_VARIABLE, INSTANCE, RUNS_VARIABLE};
use crate::ledger::Ledger;
use crate::schedule::Disturbance;
use crate::support::peer::signal;
use crate::support::role::role;

/// The limit of the end of a process after `SIGTERM`.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);

/// One of the hosts: always one process, except between its end and the start of the next one.
pub(crate) struct Host {
    pub(crate) index: usize,
    pub(crate) url: String,
    /// The directory of the logs of runs.
    pub(crate) runs: PathBuf,
    /// The directory of the other logs.
    pub(crate) logs: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
    /// The number of processes until now.
    generation: u32,
    process: Option<Process>,
}

struct Process {
    child: Child,
    /// The process ends when this is closed, and so does not outlive the test.
    _input: ChildStdin,
}

impl Host {
    pub(crate) fn new(
        index: usize,
        url: String,
        runs: PathBuf,
        logs: PathBuf,
        ledger: Arc<Ledger>,
    ) -> Self {
        let mut host = Self {
            index,
            url,
            runs,
            logs,
            ledger,
            generation: 0,
            process: None,
        };
        host.start();
        host
    }

    fn start(&mut self) {
        self.generation += 1;
        let name = self.name();
        let log = std::fs::File::create(self.logs.join(&name)).unwrap();
        let child = role("agents::host")
            .env("OAM_URL", &self.url)
            .env(INDEX_VARIABLE, self.index.to_string())
            .env(RUNS_VARIABLE, self.runs.join(&name))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut child = child.unwrap();
        let input = child.stdin.take().unwrap();
        self.process = Some(Process {
            child,
            _input: input,
        });
    }

    fn note(&self, text: &str) {
        self.ledger.note(format_args!("{} {text}", self.name()));
    }

    /// The name of the logs of the current process.
    fn name(&self) -> String {
        format!("host-{}-{}", self.index, self.generation)
    }

    /// The instance id of the current process; `None` before it is connected.
    pub(crate) fn instance(&self) -> Option<String> {
        let log = std::fs::read(self.logs.join(self.name())).unwrap();
        let log = String::from_utf8_lossy(&log);
        let mut lines = log.lines();
        lines.find_map(|line| line.strip_prefix(INSTANCE).map(str::to_owned))
    }

    /// Disturbs the host by its schedule, whose times count from `start`. A time that has passed is now.
    pub(crate) async fn disturb(
        mut self,
        schedule: Vec<(Duration, Disturbance)>,
        start: Instant,
    ) -> Self {
        for (at, disturbance) in schedule {
            sleep_until(start + at).await;
            self.check();
            self.note(&format!("{disturbance:?}"));
            match disturbance {
                Disturbance::Kill { down } => {
                    self.kill().await;
                    sleep(down).await;
                    self.start();
                }
                Disturbance::Freeze { frozen } => {
                    self.freeze(frozen).await;
                    self.signal("-CONT");
                }
                Disturbance::KillFrozen { frozen, down } => {
                    self.freeze(frozen).await;
                    self.kill().await;
                    sleep(down).await;
                    self.start();
                }
                Disturbance::Restart => {
                    self.stop().await;
                    self.start();
                }
                Disturbance::Replace => {
                    let old = self.process.take();
                    self.start();
                    sleep(Duration::from_millis(500)).await;
                    let new = std::mem::replace(&mut self.process, old);
                    self.stop().await;
                    self.process = new;
                }
            }
            self.note("is done");
        }
        self
    }

    fn signal(&mut self, name: &str) {
        self.check();
        signal(&self.process.as_ref().unwrap().child, name);
    }

    async fn freeze(&mut self, time: Duration) {
        self.signal("-STOP");
        sleep(time).await;
    }

    async fn kill(&mut self) {
        self.process.as_mut().unwrap().child.kill().await.unwrap();
    }

    /// Ends the process in order.
    pub(crate) async fn stop(&mut self) {
        self.signal("-TERM");
        let mut process = self.process.take().unwrap();
        let since = Instant::now();
        match timeout(SHUTDOWN_TIMEOUT, process.child.wait()).await {
            Ok(status) => {
                let status = status.unwrap();
                self.note(&format!("left after {:?}: {status}", since.elapsed()));
            }
            Err(_) => {
                let index = self.index;
                self.ledger.violation(format_args!(
                    "host {index} runs {SHUTDOWN_TIMEOUT:?} after SIGTERM"
                ));
                process.child.kill().await.unwrap();
            }
        }
    }

    /// Reports a process that has ended by itself.
    pub(crate) fn check(&mut self) {
        if let Some(status) = self.process.as_mut().unwrap().child.try_wait().unwrap() {
            let index = self.index;
            self.ledger
                .violation(format_args!("host {index} ended by itself: {status}"));
            self.start();
        }
    }
}
