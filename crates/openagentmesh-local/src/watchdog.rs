//! Ending a server whose owner died, at once and without anybody's help.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the watchdog runs. Its arguments are the server's process id and directory.
///
/// Standard input is a pipe that nobody writes to: its end says that the owner is gone, however it
/// ended. The signals are ignored because one that is sent to everybody must not end the watchdog
/// first.
///
/// A process id alone could be another program's by the time the watchdog gets to run: the dead
/// owner's child is reaped by init, and the clean-up of another start may have been faster. So it
/// has to appear with the directory's random name on its command line, as for every process that
/// this crate kills. That also tells a zombie, which has no command line, from a server, where
/// init does not reap. `ps` is for systems without `/proc`.
///
/// The directory goes after the server, because the next start finds a server by its directory.
/// It may be claimed and removed by that start at the same moment; `rm -f` does not mind, and if
/// it stumbles, the other has taken over.
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

/// A process that ends a server and removes its directory as soon as this process is gone.
/// Dropping it calls the watchdog off.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Holds the writing end of the watchdog's standard input, and nobody else does: it is closed
    /// on exec, so no other child gets it.
    child: Child,
}

impl Watchdog {
    /// Starts a watchdog; `None` where there is none: on Windows, and where no shell can be run.
    /// Then the next start cleans up.
    pub(crate) fn start(server: u32, directory: &Path) -> Option<Self> {
        if cfg!(not(unix)) {
            return None;
        }
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "oam-watchdog"])
            .arg(server.to_string())
            .arg(directory)
            // It must not keep the owner's working directory from being unmounted.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Whoever kills the owner's process group is not to reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        match command.spawn() {
            Ok(child) => Some(Self { child }),
            Err(failure) => {
                tracing::warn!(
                    %failure,
                    "cannot run /bin/sh, so a nats-server is left to the next start if this \
                     process is killed"
                );
                None
            }
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Killed rather than told: nothing is written to a pipe whose reader may be gone, and a
        // watchdog that is suspended is not waited for. It has nothing that an orderly end would
        // save. `wait` closes the pipe, so it comes second.
        if let Err(failure) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::warn!(%failure, "the watchdog of a local nats-server was left behind");
        }
    }
}
