//! A watchdog of Unix: a process of a shell.

use openagentmesh_name::Visible;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The watchdog's shell script. Its arguments are the server's process id and directory.
///
/// Standard input is a pipe whose writing end only the owner holds. End of file means that the owner
/// is gone, for any reason. The script ignores signals, because one that is sent to all processes
/// must not end the watchdog before the owner.
///
/// The process id alone could belong to another program: init reaps the dead owner's child, and the
/// clean-up of another start may come first. Therefore the process is killed only if its command line
/// contains the directory's random name, as for every process that this crate kills. A zombie has no
/// command line, so a server that init does not reap counts as gone. `ps` serves systems without
/// `/proc`.
///
/// The directory is removed last, because the next start finds a server by its directory. That start
/// may remove the directory at the same time. Then `rm -f` succeeds, or fails and leaves the rest to
/// that start.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r line
PATH="${PATH:+$PATH:}/usr/bin:/bin"
serves() {
    case $(cat "/proc/$1/cmdline" || ps -ww -o args= -p "$1") in
        *"${2##*/}"*) return 0 ;;
        *) return 1 ;;
    esac
}
tries=0
while serves "$1" "$2"; do
    [ "$tries" -lt 250 ] || exit 1
    tries=$((tries + 1))
    kill -KILL "$1"
    sleep 0.02 || sleep 1
done
rm -rf -- "$2"
"#;

/// A process that ends a server and removes its directory as soon as this process is gone. Dropping
/// the value kills the watchdog without effect on the server.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Holds the only writing end of the watchdog's standard input. That end is closed on exec, so
    /// no other child inherits it.
    child: Child,
}

impl Watchdog {
    /// Starts a watchdog. `None` where `/bin/sh` cannot be run; then the next start cleans up.
    pub(crate) fn start(server: &Child, directory: &Path) -> Option<Self> {
        if cfg!(not(unix)) {
            return None;
        }
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "oam-watchdog"])
            .arg(server.id().to_string())
            .arg(directory)
            // The owner's working directory must stay unmountable.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A signal to the owner's process group must not reach the watchdog.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        match command.spawn() {
            Ok(child) => Some(Self { child }),
            Err(failure) => {
                tracing::warn!(
                    failure = %Visible(&failure),
                    "no watchdog: cannot run /bin/sh; if this process is killed, the next start \
                     ends its nats-server"
                );
                None
            }
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // SIGKILL also ends a suspended watchdog, and avoids a write to a pipe whose reader may be
        // gone. `wait` closes the pipe, so it comes after `kill`.
        if let Err(failure) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::warn!(failure = %Visible(&failure), "cannot end the watchdog of a local nats-server");
        }
    }
}
