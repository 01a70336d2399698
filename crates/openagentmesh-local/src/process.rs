//! Server processes: the children of this process, and orphans of other processes.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};

use crate::LocalError;
use crate::config::CONFIG_FILE;
use crate::directory::private_file;
use openagentmesh_name::Visible;

/// Interval between checks of a process that is ending.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Maximum time for a killed process to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// The flag that precedes the path of the configuration file on a server's command line.
const CONFIG_FLAG: &str = "--config";

/// Whether a server can outlive the process that starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The server ends with that process, from its start on.
    Bound,
    /// The server can outlive that process, once it has started.
    Unbound,
}

/// The file for a server's standard error: messages from before its log is open.
pub(crate) fn stderr_path(directory: &Path) -> PathBuf {
    directory.join("stderr.log")
}

/// A server that this process started. Dropping the value kills the server and waits for its exit.
#[derive(Debug)]
pub(crate) struct OwnedChild {
    child: Option<Child>,
    pid: u32,
}

impl OwnedChild {
    /// Starts the program at `binary` with the configuration in `directory`. The server has a
    /// process group of its own, so that Ctrl-C at the terminal does not reach it. It keeps the `lock` of its data open.
    pub(crate) fn spawn(
        binary: &Path,
        directory: &Path,
        lock: Option<File>,
        lifetime: Lifetime,
    ) -> Result<Self, LocalError> {
        let stderr_path = stderr_path(directory);
        let stderr = private_file()
            .create_new(true)
            .open(&stderr_path)
            .map_err(LocalError::io("create", &stderr_path))?;
        let mut command = Command::new(binary);
        command
            .arg(CONFIG_FLAG)
            .arg(directory.join(CONFIG_FILE))
            .current_dir(directory)
            // The server does not read its standard input, and a file there is inherited.
            .stdin(lock.map_or_else(Stdio::null, Stdio::from))
            // The log has UTC on all machines; on Windows, local time.
            .env("TZ", "UTC")
            .stdout(Stdio::null())
            .stderr(stderr);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = start(&mut command, lifetime).map_err(LocalError::io("run", binary))?;
        let pid = child.id();
        Ok(Self {
            child: Some(child),
            pid,
        })
    }

    /// The process; `None` once the server has ended.
    pub(crate) fn process(&self) -> Option<&Child> {
        self.child.as_ref()
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The exit status; `None` while the server runs.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>, LocalError> {
        match &mut self.child {
            Some(child) => child
                .try_wait()
                .map_err(LocalError::io("wait for", Path::new("nats-server"))),
            None => Ok(None),
        }
    }

    /// Sends SIGTERM, kills the server if it still runs after `grace`, and waits for its exit.
    pub(crate) fn terminate(mut self, grace: Duration) -> Result<(), LocalError> {
        // A child that was not waited for keeps its process id, so no other process is signalled.
        let pid = Pid::from_u32(self.pid);
        let system = snapshot(ProcessesToUpdate::Some(&[pid]))?;
        let asked = system.process(pid).and_then(|p| p.kill_with(Signal::Term)) == Some(true);
        if asked {
            let deadline = Instant::now() + grace;
            while Instant::now() < deadline {
                if self.exit_status()?.is_some() {
                    self.child = None;
                    return Ok(());
                }
                std::thread::sleep(POLL_INTERVAL);
            }
            tracing::warn!(
                pid = self.pid,
                "nats-server did not exit within its grace period and is killed"
            );
        }
        self.kill_and_wait()
    }

    /// Lets the server outlive this process. While this process lives, a thread waits for the
    /// server's exit, because only the parent can reap a child.
    pub(crate) fn detach(mut self) -> Result<(), LocalError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Child>(1);
        // The child is sent after the thread has started: if that fails, drop still ends the server.
        std::thread::Builder::new()
            .name("nats-server-wait".to_owned())
            .spawn(move || {
                if let Ok(mut child) = receiver.recv() {
                    match child.wait() {
                        Ok(status) => tracing::debug!(%status, "a detached nats-server exited"),
                        Err(failure) => {
                            tracing::warn!(failure = %Visible(&failure), "cannot wait for a detached nats-server")
                        }
                    }
                }
            })
            .map_err(LocalError::io(
                "start a thread for",
                Path::new("nats-server"),
            ))?;
        if let Some(child) = self.child.take()
            && let Err(returned) = sender.send(child)
        {
            self.child = Some(returned.0);
            return Err(LocalError::Interrupted);
        }
        Ok(())
    }

    /// Kills the server and waits for its exit.
    pub(crate) fn kill(mut self) -> Result<(), LocalError> {
        self.kill_and_wait()
    }

    fn kill_and_wait(&mut self) -> Result<(), LocalError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child
            .kill()
            .and_then(|()| child.wait())
            .map(drop)
            .map_err(LocalError::io("end", Path::new("nats-server")))
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        if let Err(failure) = self.kill_and_wait() {
            tracing::warn!(pid = self.pid, failure = %Visible(&failure), "cannot end a local nats-server");
        }
    }
}

/// Starts the process.
#[cfg(not(windows))]
fn start(command: &mut Command, _lifetime: Lifetime) -> io::Result<Child> {
    command.spawn()
}

/// Starts the process without a window. One that outlives this process leaves its job, if the job allows that: the job
/// of a terminal or of a CI step ends all of its processes.
#[cfg(windows)]
fn start(command: &mut Command, lifetime: Lifetime) -> io::Result<Child> {
    use std::os::windows::process::CommandExt as _;

    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    const CREATE_BREAKAWAY_FROM_JOB: u32 = 0x0100_0000;
    const FLAGS: u32 = CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW;
    if lifetime == Lifetime::Unbound {
        command.creation_flags(FLAGS | CREATE_BREAKAWAY_FROM_JOB);
        match command.spawn() {
            Err(failure) if failure.kind() == io::ErrorKind::PermissionDenied => {}
            started => return started,
        }
    }
    command.creation_flags(FLAGS).spawn()
}

/// Whether the process `pid` is the server of `directory`, not a later process with the same id.
pub(crate) fn is_server_of(pid: u32, directory: &Path) -> Result<bool, LocalError> {
    let pid = Pid::from_u32(pid);
    let system = snapshot(ProcessesToUpdate::Some(&[pid]))?;
    Ok(system
        .process(pid)
        .is_some_and(|process| serves(process.cmd(), directory)))
}

/// Ends every server of `directory`, including those of other processes, and returns when all are
/// gone. With a `grace` period the servers get SIGTERM first. No running server is success.
///
/// Servers are identified by their command line, not by a recorded process id: the record is missing
/// if its writer was killed, and the id may belong to another program.
pub(crate) fn end_servers_of(directory: &Path, grace: Duration) -> Result<(), LocalError> {
    if !grace.is_zero() {
        let asked = signal_servers_of(directory, Signal::Term)?;
        wait_until_gone(asked, directory, grace)?;
    }
    let killed = signal_servers_of(directory, Signal::Kill)?;
    match wait_until_gone(killed, directory, KILL_TIMEOUT)? {
        Some(pid) => Err(LocalError::StillRunning {
            pid,
            waited: KILL_TIMEOUT,
        }),
        None => Ok(()),
    }
}

/// Sends `signal` to every server of `directory` and returns their process ids.
fn signal_servers_of(directory: &Path, signal: Signal) -> Result<Vec<u32>, LocalError> {
    let system = snapshot(ProcessesToUpdate::All)?;
    let mut pids = Vec::new();
    for process in system
        .processes()
        .values()
        .filter(|p| serves(p.cmd(), directory))
    {
        // On platforms without SIGTERM the process is killed.
        let sent = process.kill_with(signal).unwrap_or_else(|| process.kill());
        let pid = process.pid().as_u32();
        tracing::debug!(pid, ?signal, sent, "ending a nats-server");
        pids.push(pid);
    }
    Ok(pids)
}

/// Makes every server of `directories` read its configuration again.
///
/// # Errors
///
/// [`LocalError::Io`] on platforms without the signal, and if a server does not take it or none runs. The others have taken it.
pub(crate) fn signal_reload(directories: &[PathBuf]) -> Result<(), LocalError> {
    let system = snapshot(ProcessesToUpdate::All)?;
    let mut is_any = false;
    let mut refused = None;
    for directory in directories {
        let processes = system.processes().values();
        for process in processes.filter(|process| serves(process.cmd(), directory)) {
            is_any = true;
            if process.kill_with(Signal::Hangup) != Some(true) {
                refused = Some(directory);
            }
        }
    }
    let failed = match is_any {
        true => refused,
        false => directories.first(),
    };
    match failed {
        Some(directory) => {
            let failure = io::Error::other(
                "the server did not take the signal, or does not run; stop it and start it again",
            );
            Err(LocalError::io("reload the server of", directory)(failure))
        }
        None => Ok(()),
    }
}

/// Waits until none of the processes `pids` is a server of `directory`. Returns one that still is
/// after `timeout`.
fn wait_until_gone(
    mut pids: Vec<u32>,
    directory: &Path,
    timeout: Duration,
) -> Result<Option<u32>, LocalError> {
    let deadline = Instant::now() + timeout;
    while let Some(&pid) = pids.last() {
        if !is_server_of(pid, directory)? {
            pids.pop();
        } else if Instant::now() >= deadline {
            return Ok(Some(pid));
        } else {
            std::thread::sleep(POLL_INTERVAL);
        }
    }
    Ok(None)
}

/// The running processes with their command lines.
fn snapshot(which: ProcessesToUpdate<'_>) -> Result<System, LocalError> {
    let mut system = System::new()
        .map_err(std::io::Error::other)
        .map_err(LocalError::io(
            "list the processes for",
            Path::new("nats-server"),
        ))?;
    let command_lines = ProcessRefreshKind::nothing()
        .without_tasks()
        .with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(which, true, command_lines);
    Ok(system)
}

/// Whether `command_line` is that of the server of `directory`.
///
/// Only the directory's random name is compared, so that another spelling of the parent path, for
/// example through a symbolic link, still matches.
fn serves(command_line: &[OsString], directory: &Path) -> bool {
    let [.., flag, config] = command_line else {
        return false;
    };
    let Some(id) = directory.file_name() else {
        return false;
    };
    flag == CONFIG_FLAG && Path::new(config).ends_with(Path::new(id).join(CONFIG_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_with_another_configuration_is_not_the_server() {
        let directory = Path::new("/home/me/.agentmesh/run/0123");
        let line = |args: &[&str]| -> Vec<OsString> { args.iter().map(OsString::from).collect() };
        for ours in [
            line(&[
                "nats-server",
                "--config",
                "/home/me/.agentmesh/run/0123/nats-server.conf",
            ]),
            line(&["/bin/sh", "n", "--config", "/link/0123/nats-server.conf"]),
        ] {
            assert!(serves(&ours, directory), "{ours:?}");
        }
        for other in [
            line(&[]),
            line(&["nats-server"]),
            line(&["tail", "/home/me/.agentmesh/run/0123/nats-server.conf"]),
            line(&[
                "nats-server",
                "--config",
                "/home/me/.agentmesh/run/4567/nats-server.conf",
            ]),
            line(&[
                "nats-server",
                "--config",
                "/home/me/.agentmesh/run/0123/x.conf",
            ]),
            line(&[
                "nats-server",
                "--config",
                "/0123/nats-server.conf",
                "--debug",
            ]),
        ] {
            assert!(!serves(&other, directory), "{other:?}");
        }
    }
}
