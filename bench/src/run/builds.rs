//! What it takes to build a program that depends on this SDK.

use std::path::Path;
use std::time::Instant;

use super::{Measured, Stage};
use crate::Result;
use crate::programs::{REPOSITORY, cargo};

const MANIFEST: &str = r#"[package]
name = "echo"
version = "0.1.0"
edition = "2024"

[dependencies]
openagentmesh = { path = "{repository}/crates/openagentmesh" }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

[[bin]]
name = "echo"
path = "{repository}/examples/echo.rs"

[workspace]
"#;

impl Stage {
    /// Builds the example as a project of its own, with nothing built before; and the command line,
    /// for its size.
    pub(super) async fn build(&self) -> Result<Measured> {
        let project = tempfile::tempdir()?;
        let repository = Path::new(REPOSITORY).canonicalize()?;
        let repository = repository.to_str().ok_or("a path that is no text")?;
        let manifest = project.path().join("Cargo.toml");
        std::fs::write(&manifest, MANIFEST.replace("{repository}", repository))?;
        // The versions that the repository has, and that are on this machine already.
        std::fs::copy(
            Path::new(repository).join("Cargo.lock"),
            project.path().join("Cargo.lock"),
        )?;
        let target = project.path().join("target");
        let build = async |arguments: &[&str]| -> Result<f64> {
            let mut cargo = cargo();
            cargo.args(["build", "--release", "--quiet", "--target-dir"]);
            cargo.arg(&target).args(arguments);
            let started = Instant::now();
            let status = cargo.status().await?;
            if !status.success() {
                return Err(format!("cargo build {arguments:?} failed: {status}").into());
            }
            Ok(started.elapsed().as_secs_f64())
        };
        let manifest = manifest.to_str().ok_or("a path that is no text")?;
        let fetched = cargo()
            .args(["fetch", "--quiet", "--manifest-path", manifest])
            .status()
            .await?;
        if !fetched.success() {
            return Err(format!("cargo fetch failed: {fetched}").into());
        }
        let seconds = build(&["--manifest-path", manifest]).await?;
        // The workspace's release profile strips it.
        build(&["--package", "oam-cli"]).await?;
        let oam = target
            .join("release")
            .join(format!("oam{}", std::env::consts::EXE_SUFFIX));
        let megabytes = std::fs::metadata(oam)?.len() as f64 / 1e6;
        Ok(Measured::new(1, [seconds, megabytes]))
    }
}
