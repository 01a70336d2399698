//! Listing, signalling and ending of processes.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, ExitStatus};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};

use super::condition::eventually;

/// The processes with `text` in their command line: servers and watchdogs.
pub(crate) fn processes_of(text: &Path) -> Vec<u32> {
    processes(|cmd| mentions(cmd, text))
}

/// The servers in this home.
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) fn servers_of(home: &Path) -> Vec<u32> {
    processes(|cmd| mentions(cmd, home) && !is_watchdog(cmd))
}

/// The watchdogs of the servers in this home.
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) fn watchdogs_of(home: &Path) -> Vec<u32> {
    processes(|cmd| mentions(cmd, home) && is_watchdog(cmd))
}

fn mentions(cmd: &[OsString], text: &Path) -> bool {
    let text = text.to_str().unwrap();
    cmd.iter().any(|arg| arg.to_string_lossy().contains(text))
}

fn is_watchdog(cmd: &[OsString]) -> bool {
    cmd.iter().any(|arg| arg == "oam-watchdog")
}

/// The processes with such a command line. A zombie has none.
fn processes(wanted: impl Fn(&[OsString]) -> bool) -> Vec<u32> {
    let mut system = System::new().unwrap();
    let command_lines = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, command_lines);
    let mut pids: Vec<u32> = system
        .processes()
        .values()
        .filter(|process| process.thread_kind().is_none())
        .filter(|process| wanted(process.cmd()))
        .map(|process| process.pid().as_u32())
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether the process exists, if only as a zombie.
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) fn exists(pid: u32) -> bool {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().unwrap();
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).is_some()
}

/// Sends a signal. A process that is already gone is ignored.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().unwrap();
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    if let Some(process) = system.process(pid) {
        process.kill_with(signal).unwrap();
    }
}

/// A child that is killed and reaped on drop.
pub(crate) struct KilledOnDrop(pub(crate) Child);

impl KilledOnDrop {
    /// Waits for the exit of the child.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the child exits", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
