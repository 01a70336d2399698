//! Other programs of this repository: building them, finding them, running them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::Result;
use crate::measure::Contender;

/// The root of the repository.
pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The results that the documentation is rendered from.
pub(crate) const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results.json");

/// A program that the bench builds before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    /// The command line.
    Oam,
    /// A host without any other work.
    Host,
    /// The allocation counter.
    Allocations,
}

impl Program {
    /// The profile that it is built with, and the folder of this profile in the target directory.
    const fn profile(self) -> (&'static str, &'static str) {
        match self {
            _ if cfg!(debug_assertions) => ("dev", "debug"),
            // As it is installed.
            Self::Oam => ("dist", "dist"),
            Self::Host | Self::Allocations => ("release", "release"),
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Oam => "oam-cli",
            Self::Host | Self::Allocations => "bench",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Oam => "oam",
            Self::Host => "bench-host",
            Self::Allocations => "bench-allocations",
        }
    }
}

/// The programs of this build, and the directory of the other build if one takes part.
#[derive(Debug)]
pub(crate) struct Programs {
    built: BTreeMap<Program, PathBuf>,
    other: Option<PathBuf>,
}

impl Programs {
    pub(crate) fn new(other: Option<&Path>) -> Result<Self> {
        let programs = Self {
            built: BTreeMap::new(),
            other: other.map(std::path::absolute).transpose()?,
        };
        if programs.other.is_some() {
            programs.of_other("bench")?;
        }
        Ok(programs)
    }

    /// The program that plays the roles of `contender`.
    pub(crate) fn bench(&self, contender: Contender) -> Result<PathBuf> {
        match contender {
            Contender::Other => self.of_other("bench"),
            _ => Ok(std::env::current_exe()?),
        }
    }

    /// The path of `program`, which is built once unless it belongs to the other build.
    pub(crate) async fn path(&mut self, program: Program, contender: Contender) -> Result<PathBuf> {
        if contender == Contender::Other {
            return self.of_other(program.name());
        }
        if let Some(path) = self.built.get(&program) {
            return Ok(path.clone());
        }
        let path = build(program).await?;
        self.built.insert(program, path.clone());
        Ok(path)
    }

    fn of_other(&self, name: &str) -> Result<PathBuf> {
        let directory = self.other.as_ref().ok_or("no other build: use --against")?;
        let path = directory.join(file_name(name));
        if path.is_file() {
            return Ok(path);
        }
        let shown = directory.display();
        Err(format!(
            "program '{name}' not found in {shown}: build it there with \
             cargo build --release -p bench -p oam-cli"
        )
        .into())
    }
}

/// Builds `program` and returns its path.
async fn build(program: Program) -> Result<PathBuf> {
    let target = target()?;
    let mut build = cargo();
    build
        .args(["build", "--package", program.package()])
        .args(["--bin", program.name()])
        .arg("--target-dir")
        .arg(&target);
    let (profile, folder) = program.profile();
    build.args(["--profile", profile]);
    let name = program.name();
    eprintln!("== build {name} ({profile}), unless it is up to date");
    let status = build.status().await?;
    if !status.success() {
        return Err(format!("build of {name} failed: {status}").into());
    }
    Ok(target.join(folder).join(file_name(name)))
}

fn file_name(program: &str) -> String {
    format!("{program}{}", std::env::consts::EXE_SUFFIX)
}

/// The target directory of this program.
pub(crate) fn target() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    // target/{profile}/bench
    let target = program.ancestors().nth(2).ok_or("no target directory")?;
    Ok(target.to_owned())
}

/// A Python interpreter with the Python package of this repository, which is built unless it is up to date.
pub(crate) async fn python_package() -> Result<PathBuf> {
    eprintln!("== build the Python package, unless it is up to date");
    let mut install = cargo();
    install.args(["run", "--quiet", "--package", "xtask", "--"]);
    install.args(["python", "install", "--release"]);
    let status = install.status().await?;
    if !status.success() {
        return Err(format!("the Python package is not built: {status}").into());
    }
    let programs = if cfg!(windows) { "Scripts" } else { "bin" };
    let environment = target()?.join("python").join("installed");
    Ok(environment.join(programs).join(file_name("python")))
}

/// Cargo, in the repository.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    // `cargo run` sets these variables for this program. Crates whose build scripts read them
    // would be rebuilt.
    let is_of_this_package =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_this_package) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(REPOSITORY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    cargo
}

/// Runs `program` and returns its output.
pub(crate) async fn output<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let name = program.display();
        return Err(format!("{name} failed ({}): {}", output.status, stderr.trim()).into());
    }
    Ok(output.stdout)
}
