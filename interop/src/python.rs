//! Finding a Python that can make virtual environments.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names that an interpreter may have, the newest first.
const NAMES: &[&str] = &[
    "python3.13",
    "python3.12",
    "python3.11",
    "python3",
    "python",
];

/// The oldest version that the published SDKs run on.
const OLDEST: (u32, u32) = (3, 11);

/// Prints the version, and whether environments with pip can be made.
const PROBE: &str = "\
import sys, importlib.util as util
able = all(util.find_spec(module) for module in ('venv', 'ensurepip'))
print(sys.version_info[0], sys.version_info[1], able)";

/// Why no environment can be made: one sentence that says what to install.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPython {
    /// There is none.
    #[error(
        "the interop tests need Python {}.{} or newer, and PATH has no Python that runs: \
         install python3 with its packages python3-venv and python3-pip", OLDEST.0, OLDEST.1
    )]
    Missing,
    /// There is only an older one.
    #[error(
        "the interop tests need Python {}.{} or newer, and PATH has only {}.{} ({}): \
         install a newer python3 with its packages python3-venv and python3-pip",
        OLDEST.0, OLDEST.1, version.0, version.1, path.display()
    )]
    TooOld {
        /// Its version.
        version: (u32, u32),
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot make environments with pip in them.
    #[error(
        "the interop tests need Python with venv and pip, and {} ({}.{}) lacks them: \
         install the packages python3-venv and python3-pip",
        path.display(), version.0, version.1
    )]
    Bare {
        /// Its version.
        version: (u32, u32),
        /// Where it is.
        path: PathBuf,
    },
}

/// The first Python in the directories of `search_path` that is new enough and can make virtual
/// environments. `search_path` is written as in the variable `PATH`.
///
/// # Errors
///
/// [`NoPython`], about the best that there is.
pub fn find(search_path: &OsStr) -> Result<PathBuf, NoPython> {
    let mut best = NoPython::Missing;
    for candidate in candidates(search_path) {
        let flaw = match probe(&candidate) {
            // A version manager's placeholder for a version that is not installed.
            None => continue,
            Some((version, _)) if version < OLDEST => NoPython::TooOld {
                version,
                path: candidate,
            },
            Some((version, false)) => NoPython::Bare {
                version,
                path: candidate,
            },
            Some((_, true)) => return Ok(candidate),
        };
        let is_better = match &best {
            NoPython::Missing => true,
            NoPython::TooOld { .. } => matches!(flaw, NoPython::Bare { .. }),
            NoPython::Bare { .. } => false,
        };
        if is_better {
            best = flaw;
        }
    }
    Err(best)
}

fn candidates(search_path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let directories: Vec<PathBuf> = std::env::split_paths(search_path)
        .filter(|directory| !directory.as_os_str().is_empty())
        .collect();
    NAMES.iter().flat_map(move |name| {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        directories
            .iter()
            .map(|directory| directory.join(&file))
            .filter(|path| path.is_file())
            .collect::<Vec<_>>()
    })
}

/// The version, and whether environments can be made; `None` when it does not run.
fn probe(python: &Path) -> Option<((u32, u32), bool)> {
    let output = Command::new(python)
        .args(["-c", PROBE])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    let major = words.next()?.parse().ok()?;
    let minor = words.next()?.parse().ok()?;
    Some(((major, minor), words.next()? == "True"))
}
