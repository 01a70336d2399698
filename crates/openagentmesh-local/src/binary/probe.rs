//! Asking a program for its version.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// How long a program may take to tell its version: it takes milliseconds, but the machine may be
/// busy or the file on a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The oldest version that serves.
const OLDEST: Version = Version {
    major: 2,
    minor: 10,
    patch: 0,
};

/// The version of a `nats-server`; what comes after the numbers is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Reads `nats-server: v2.15.1`, and also `v2.15.1-RC.1`.
    fn parse(text: &str) -> Option<Self> {
        let version = text
            .trim()
            .strip_prefix("nats-server:")?
            .trim()
            .strip_prefix('v')?;
        let numbers = version.split(['-', '+']).next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
        };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Runs the program at `path` to learn its version. The error says why it cannot be used.
///
/// Dropping the future ends the program.
pub(crate) async fn probe(path: &Path) -> Result<Version, String> {
    let answer = match timeout(PATIENCE, ask(path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) if failure.kind() == io::ErrorKind::NotFound => {
            return Err("there is no such file, or what it needs to run is missing".to_owned());
        }
        Ok(Err(failure)) => return Err(format!("it cannot be run: {failure}")),
        Err(_) => {
            return Err(format!(
                "it did not tell its version within {} s",
                PATIENCE.as_secs()
            ));
        }
    };
    match Version::parse(&answer) {
        Some(version) if version >= OLDEST => Ok(version),
        Some(version) => Err(format!("its version {version} is older than {OLDEST}")),
        None => Err(format!(
            "it did not tell its version but {:?}",
            answer.lines().next().unwrap_or_default()
        )),
    }
}

/// What `<path> --version` prints, or the beginning of it.
async fn ask(path: &Path) -> io::Result<String> {
    const ENOUGH: u64 = 1024;
    let mut child = loop {
        let spawned = Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        match spawned {
            // A file that was written just now counts as being written for as long as another
            // thread's new child has not let go of its copy of the file handle.
            Err(failure) if failure.kind() == io::ErrorKind::ExecutableFileBusy => {
                sleep(Duration::from_millis(5)).await;
            }
            spawned => break spawned?,
        }
    };
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ENOUGH).read_to_end(&mut answer).await?;
    }
    child.wait().await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let version = |major, minor, patch| {
            Some(Version {
                major,
                minor,
                patch,
            })
        };
        assert_eq!(Version::parse("nats-server: v2.15.1\n"), version(2, 15, 1));
        assert_eq!(
            Version::parse("nats-server: v2.11.0-RC.2"),
            version(2, 11, 0)
        );
        for not_a_version in [
            "",
            "2.15.1",
            "nats-server: 2.15.1",
            "nats-server: v2.15",
            "nats-server: v1.2.3.4",
        ] {
            assert_eq!(Version::parse(not_a_version), None, "{not_a_version}");
        }
        assert!(version(2, 9, 25) < Some(OLDEST));
    }
}
