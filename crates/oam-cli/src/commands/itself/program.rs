//! The program `oam`, and the package manager that has installed it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Serialize;
use tokio::process::Command;

use super::files::lossy;
use crate::failure::Failure;
use crate::shell;

/// The name of this package for cargo.
const CRATE: &str = env!("CARGO_PKG_NAME");

/// The name of the Python package.
const PYTHON_PACKAGE: &str = "openagentmesh-rs";

/// The program, and how it is removed.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    installer: Installer,
}

#[derive(Debug)]
enum Installer {
    /// The directory that `cargo install --root` was given, or its default.
    Cargo(PathBuf),
    Pip,
    Unknown,
}

/// The fate of the program.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    #[serde(serialize_with = "lossy")]
    pub(super) path: PathBuf,
    pub(super) removed: bool,
    /// The command that removes the program, if it was not removed.
    pub(super) command: Option<String>,
}

impl Program {
    /// The running program; `started_as` is the name by which it was started.
    pub(super) fn find(started_as: &str) -> Result<Self, Failure> {
        let path = std::env::current_exe()
            .map_err(|error| Failure::local(format!("cannot find the program: {error}")))?;
        if is_python(&path) {
            return Ok(Self {
                path: PathBuf::from(started_as),
                installer: Installer::Pip,
            });
        }
        let installer = cargo_root(&path).map_or(Installer::Unknown, Installer::Cargo);
        Ok(Self { path, installer })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`Program::remove`] tries to remove the program.
    pub(super) fn is_removed(&self) -> bool {
        // Windows keeps the file of a running program.
        matches!(self.installer, Installer::Cargo(_)) && !cfg!(windows)
    }

    /// The command that removes the program.
    pub(super) fn command(&self) -> String {
        match &self.installer {
            Installer::Cargo(root) => {
                let root = root.to_string_lossy();
                format!("cargo uninstall {CRATE} --root {}", shell::word(&root))
            }
            Installer::Pip => format!("pip uninstall {PYTHON_PACKAGE}"),
            Installer::Unknown => format!("rm {}", shell::word(&self.path.to_string_lossy())),
        }
    }

    /// Removes the program if cargo has installed it.
    pub(super) async fn remove(self) -> Outcome {
        let removed = match &self.installer {
            Installer::Cargo(root) if self.is_removed() => uninstall(root).await,
            _ => false,
        };
        Outcome {
            removed,
            command: (!removed).then(|| self.command()),
            path: self.path,
        }
    }
}

/// Whether the process is that of an interpreter, which runs the Python package.
fn is_python(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.starts_with("python") || name.starts_with("pypy")
}

/// The directory of an installation by cargo: `bin` has the program, and `.crates.toml` lists the package.
fn cargo_root(program: &Path) -> Option<PathBuf> {
    let bin = program.parent().filter(|bin| bin.ends_with("bin"))?;
    let root = bin.parent()?;
    let packages = std::fs::read_to_string(root.join(".crates.toml")).ok()?;
    let packages: toml::Table = packages.parse().ok()?;
    let is_listed = packages
        .get("v1")?
        .as_table()?
        .keys()
        .any(|package| package.split(' ').next() == Some(CRATE));
    is_listed.then(|| root.to_owned())
}

/// Runs cargo, which also updates its list of packages. Returns whether it was successful.
async fn uninstall(root: &Path) -> bool {
    let status = Command::new("cargo")
        .args(["uninstall", CRATE, "--quiet", "--root"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_python;

    #[test]
    fn interpreter_of_python_is_recognised() {
        assert!(is_python(Path::new("/usr/bin/python3.12")));
        assert!(is_python(Path::new("python.exe")));
        assert!(!is_python(Path::new("/usr/bin/oam")));
    }
}
