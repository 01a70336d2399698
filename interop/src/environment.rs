//! One virtual environment per SDK version.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Sdk;
use crate::python::{self, NoPython};

/// Written last, so that an interrupted creation is repeated. It has the packages: an environment with others is made again.
const MARKER: &str = "complete";

/// By this package, the NATS client of Python signs with the key of a user.
const NKEYS: &str = "nkeys==0.2.1";

/// The error of [`prepare`].
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No usable Python was found.
    #[error(transparent)]
    NoPython(#[from] NoPython),
    /// Python failed to create the environment.
    #[error(
        "cannot create a virtual environment: {python} failed with '{output}'; \
         install the packages python3-venv and python3-pip"
    )]
    NoEnvironment {
        /// The interpreter.
        python: String,
        /// The last lines of its output.
        output: String,
    },
    /// Pip failed to install the SDK.
    #[error(
        "cannot install the Python package {sdk}: pip failed with '{output}'; \
         check the connection to the package index"
    )]
    NotInstalled {
        /// The SDK.
        sdk: Sdk,
        /// The last lines of pip's output.
        output: String,
    },
    /// Access to the directory failed.
    #[error("cannot use directory {path}: {error}")]
    Io {
        /// The directory.
        path: String,
        /// The cause.
        error: io::Error,
    },
}

/// Returns the interpreter of the environment of `sdk` in `directory`. A missing environment is created
/// with a Python from `search_path`.
///
/// Blocks for up to about a minute if the package must be downloaded. Processes that prepare the same
/// environment at the same time wait for each other.
///
/// # Errors
///
/// [`SetupError`], whose text names the packages to install.
pub fn prepare(sdk: Sdk, directory: &Path, search_path: &OsStr) -> Result<PathBuf, SetupError> {
    let home = directory.join(format!("openagentmesh-{}", sdk.version()));
    let failed = |error| SetupError::Io {
        path: home.display().to_string(),
        error,
    };
    fs::create_dir_all(directory).map_err(failed)?;
    // The lock is released when the file is closed, also by the end of the process.
    let lock = File::create(directory.join(format!("openagentmesh-{}.lock", sdk.version())))
        .map_err(failed)?;
    lock.lock().map_err(failed)?;

    let interpreter = interpreter(&home);
    let marker = home.join(MARKER);
    // The interpreter is a link whose target may have been uninstalled.
    let packages = [
        format!("openagentmesh=={}", sdk.version()),
        NKEYS.to_owned(),
    ];
    let is_complete = fs::read_to_string(&marker).is_ok_and(|made| made == packages.join(" "));
    if is_complete && interpreter.exists() {
        return Ok(interpreter);
    }
    if home.exists() {
        fs::remove_dir_all(&home).map_err(failed)?;
    }
    create(sdk, &home, &python::find(search_path)?, &packages)?;
    fs::write(marker, packages.join(" ")).map_err(failed)?;
    Ok(interpreter)
}

/// Creates an environment in its final directory: environments cannot be moved.
fn create(sdk: Sdk, home: &Path, python: &Path, packages: &[String]) -> Result<(), SetupError> {
    let output = run(Command::new(python).args(["-m", "venv"]).arg(home));
    check(output).map_err(|output| SetupError::NoEnvironment {
        python: python.display().to_string(),
        output,
    })?;
    let mut pip = Command::new(interpreter(home));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check"])
        // Pip writes no files outside of the directory.
        .arg("--no-cache-dir")
        .args(packages);
    let output = run(&mut pip);
    check(output).map_err(|output| SetupError::NotInstalled { sdk, output })
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

/// Returns the last lines of the output of a failed command.
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
