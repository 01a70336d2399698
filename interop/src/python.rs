//! Finding a Python that can make virtual environments.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names of interpreters, newest first.
const NAMES: &[&str] = &[
    "python3.13",
    "python3.12",
    "python3.11",
    "python3",
    "python",
];

/// The oldest version that the published SDKs support.
const MIN_VERSION: (u32, u32) = (3, 11);

/// Prints the version, and whether environments with pip can be created.
const PROBE: &str = "\
import sys, importlib.util as util
able = all(util.find_spec(module) for module in ('venv', 'ensurepip'))
print(sys.version_info[0], sys.version_info[1], able)";

/// The reason why no Python can create environments; the text names the packages to install.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPython {
    /// No Python was found.
    #[error(
        "no usable Python in PATH: the interop tests need Python {}.{} or newer; \
         install python3 with its packages python3-venv and python3-pip", MIN_VERSION.0, MIN_VERSION.1
    )]
    Missing,
    /// Only older versions were found.
    #[error(
        "Python too old: the interop tests need Python {}.{} or newer, and PATH has {}.{} ({}); \
         install a newer python3 with its packages python3-venv and python3-pip",
        MIN_VERSION.0, MIN_VERSION.1, version.0, version.1, path.display()
    )]
    TooOld {
        /// The version.
        version: (u32, u32),
        /// The path.
        path: PathBuf,
    },
    /// Python cannot create environments with pip.
    #[error(
        "incomplete Python: the interop tests need venv and pip, and {} ({}.{}) lacks them; \
         install the packages python3-venv and python3-pip",
        path.display(), version.0, version.1
    )]
    Bare {
        /// The version.
        version: (u32, u32),
        /// The path.
        path: PathBuf,
    },
}

/// Returns the first Python in the directories of `search_path` that is new enough and can create
/// virtual environments. `search_path` has the format of the variable `PATH`.
///
/// # Errors
///
/// [`NoPython`], about the best candidate.
pub fn find(search_path: &OsStr) -> Result<PathBuf, NoPython> {
    let mut best = NoPython::Missing;
    for candidate in candidates(search_path) {
        let defect = match probe(&candidate) {
            // A placeholder of a version manager for a missing version.
            None => continue,
            Some((version, _)) if version < MIN_VERSION => NoPython::TooOld {
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
            NoPython::TooOld { .. } => matches!(defect, NoPython::Bare { .. }),
            NoPython::Bare { .. } => false,
        };
        if is_better {
            best = defect;
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

/// Returns the version and whether environments can be created; `None` if the program does not run.
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
