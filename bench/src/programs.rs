//! Other programs of this repository, and what they print.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::Result;

/// The root of the repository.
pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A program that cargo builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The command line.
    Oam,
    /// What serves agents, and nothing else.
    Host,
    /// What counts allocations.
    Allocations,
}

impl Program {
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

/// Builds `program` as this one was built, unless it is up to date, and says where it is.
pub(crate) async fn built(program: Program) -> Result<PathBuf> {
    let target = target()?;
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--package", program.package()])
        .args(["--bin", program.name()])
        .arg("--target-dir")
        .arg(&target);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().await?;
    if !status.success() {
        return Err(format!("{} cannot be built: {status}", program.name()).into());
    }
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let file = format!("{}{}", program.name(), std::env::consts::EXE_SUFFIX);
    Ok(target.join(profile).join(file))
}

/// Where cargo has put this program.
pub(crate) fn target() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    // target/{profile}/bench
    let target = program.ancestors().nth(2).ok_or("no target directory")?;
    Ok(target.to_owned())
}

/// Cargo, in the repository.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    // What `cargo run` says of this program would have it build anew what it built by hand for
    // crates whose build scripts look at it.
    let about_us =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_us) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(REPOSITORY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    cargo
}

/// What `program` prints until it ends, if it ends well.
pub(crate) async fn output<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let name = program.display();
        return Err(format!("{name} ended badly ({}): {}", output.status, said.trim()).into());
    }
    Ok(output.stdout)
}
