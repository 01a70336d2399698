//! A virtual environment per SDK version, made once.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Sdk;
use crate::python::{self, NoPython};

/// Written last, so that an environment whose making was interrupted is made anew.
const MARKER: &str = "complete";

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is no Python to make it with.
    #[error(transparent)]
    NoPython(#[from] NoPython),
    /// Python could not make it.
    #[error(
        "the interop tests need a virtual environment, and {python} cannot make one: install the \
         packages python3-venv and python3-pip (it said: {said})"
    )]
    NoEnvironment {
        /// The interpreter.
        python: String,
        /// What it printed.
        said: String,
    },
    /// The SDK could not be installed.
    #[error(
        "the interop tests need the Python package {sdk}, and pip cannot install it: \
         check the way to the package index (it said: {said})"
    )]
    NotInstalled {
        /// What was to be installed.
        sdk: Sdk,
        /// What pip printed.
        said: String,
    },
    /// The directory cannot be used.
    #[error("the directory {path} cannot be used: {error}")]
    Io {
        /// The directory.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// The interpreter of the environment of `sdk` below `directory`; the environment is made if it
/// is not there, with a Python from `search_path`.
///
/// Blocks, for up to a minute or so when the package has to be fetched. Processes that want the
/// same environment at the same time wait for each other.
///
/// # Errors
///
/// [`SetupError`]: one sentence that says what to install.
pub fn prepare(sdk: Sdk, directory: &Path, search_path: &OsStr) -> Result<PathBuf, SetupError> {
    let home = directory.join(format!("openagentmesh-{}", sdk.version()));
    let failed = |error| SetupError::Io {
        path: home.display().to_string(),
        error,
    };
    fs::create_dir_all(directory).map_err(failed)?;
    // Released when it is closed, also by the end of the process.
    let lock = File::create(directory.join(format!("openagentmesh-{}.lock", sdk.version())))
        .map_err(failed)?;
    lock.lock().map_err(failed)?;

    let interpreter = interpreter(&home);
    let marker = home.join(MARKER);
    // The interpreter is a link, and what it points to may have been uninstalled.
    if marker.exists() && interpreter.exists() {
        return Ok(interpreter);
    }
    if home.exists() {
        fs::remove_dir_all(&home).map_err(failed)?;
    }
    make(sdk, &home, &python::find(search_path)?)?;
    File::create(marker).map_err(failed)?;
    Ok(interpreter)
}

/// Environments cannot be moved, so it is made where it stays.
fn make(sdk: Sdk, home: &Path, python: &Path) -> Result<(), SetupError> {
    let output = run(Command::new(python).args(["-m", "venv"]).arg(home));
    check(output).map_err(|said| SetupError::NoEnvironment {
        python: python.display().to_string(),
        said,
    })?;
    let package = format!("openagentmesh=={}", sdk.version());
    let mut pip = Command::new(interpreter(home));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check"])
        // Nothing stays outside of the directory that was given.
        .args(["--no-cache-dir", &package]);
    let output = run(&mut pip);
    check(output).map_err(|said| SetupError::NotInstalled { sdk, said })
}

fn interpreter(home: &Path) -> PathBuf {
    if cfg!(windows) {
        home.join("Scripts").join("python.exe")
    } else {
        home.join("bin").join("python")
    }
}

fn run(command: &mut Command) -> io::Result<Output> {
    command
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONPATH")
        .stdin(Stdio::null())
        .output()
}

/// The last of what was printed, if it failed.
fn check(output: io::Result<Output>) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let all = [output.stdout, output.stderr].concat();
            let all = String::from_utf8_lossy(&all);
            let lines: Vec<&str> = all.lines().rev().filter(|line| !line.is_empty()).collect();
            let last: Vec<&str> = lines.into_iter().take(3).rev().collect();
            Err(last.join(" / "))
        }
        Err(error) => Err(error.to_string()),
    }
}
