//! Running a program to read its version.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// Maximum time for a program to print its version. It takes milliseconds, but the machine may be
/// busy or the disk slow.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum length of the output that is read, in bytes.
const MAX_VERSION_BYTES: u64 = 1024;

/// The oldest supported version.
const MIN_VERSION: Version = Version {
    major: 2,
    minor: 10,
    patch: 0,
};

/// The version of a `nats-server`, without pre-release and build suffixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Parses `nats-server: v2.15.1` or `nats-server: v2.15.1-RC.1`.
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

/// Runs the program at `path` to read its version. The error says why the program is unusable.
///
/// Dropping the future kills the program.
pub(crate) async fn probe(path: &Path) -> Result<Version, String> {
    let output = match timeout(PROBE_TIMEOUT, run_version(path)).await {
        Ok(Ok(output)) => output,
        Ok(Err(failure)) if failure.kind() == io::ErrorKind::NotFound => {
            return Err("file not found, or its interpreter or loader is missing".to_owned());
        }
        Ok(Err(failure)) => return Err(format!("cannot be run: {failure}")),
        Err(_) => {
            return Err(format!(
                "no version printed within {} s",
                PROBE_TIMEOUT.as_secs()
            ));
        }
    };
    match Version::parse(&output) {
        Some(version) if version >= MIN_VERSION => Ok(version),
        Some(version) => Err(format!("version {version} is older than {MIN_VERSION}")),
        None => Err(format!(
            "unknown version: it printed {:?}",
            output.lines().next().unwrap_or_default()
        )),
    }
}

/// The first [`MAX_VERSION_BYTES`] that `<path> --version` prints.
async fn run_version(path: &Path) -> io::Result<String> {
    let mut child = loop {
        let spawned = Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        match spawned {
            // After a file was written, a child that another thread has just forked may hold the
            // file open for writing until it calls exec.
            Err(failure) if failure.kind() == io::ErrorKind::ExecutableFileBusy => {
                sleep(Duration::from_millis(5)).await;
            }
            spawned => break spawned?,
        }
    };
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(MAX_VERSION_BYTES)
            .read_to_end(&mut output)
            .await?;
    }
    child.wait().await?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_output_is_parsed() {
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
        assert!(version(2, 9, 25) < Some(MIN_VERSION));
    }
}
