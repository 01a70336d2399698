//! Build time of a program that depends on this SDK or on the bare client, and the size of `oam`.

use std::path::Path;
use std::time::Instant;

use super::measured::Measured;
use super::runner::Runner;
use crate::error::Result;
use crate::measure::Contender;
use crate::programs::{Program, REPOSITORY, cargo};

/// The manifest of a project that builds `{program}` with `{dependencies}` from `{repository}`.
const MANIFEST: &str = r#"[package]
name = "echo"
version = "0.1.0"
edition = "2024"

[dependencies]
{dependencies}

[[bin]]
name = "echo"
path = "{repository}/{program}"

[workspace]
"#;

const OURS: [&str; 2] = [
    r#"openagentmesh = { path = "{repository}/crates/openagentmesh" }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }"#,
    "examples/echo.rs",
];

/// The client with the features of the workspace, and the other dependencies of an echo.
const RAW: [&str; 2] = [
    r#"async-nats = { version = "0.51", default-features = false, features = ["jetstream", "kv", "nkeys", "ring", "server_2_10", "server_2_11"] }
futures = { version = "0.3", default-features = false, features = ["std", "async-await"] }
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }"#,
    "bench/examples/raw_echo.rs",
];

impl Runner {
    /// Builds an echo as a separate project with an empty target directory.
    pub(super) async fn build(&self, contender: Contender) -> Result<Measured> {
        let [dependencies, program] = match contender {
            Contender::Ours => OURS,
            _ => RAW,
        };
        let project = tempfile::tempdir()?;
        let repository = Path::new(REPOSITORY).canonicalize()?;
        let manifest = MANIFEST
            .replace("{dependencies}", dependencies)
            .replace("{program}", program)
            .replace(
                "{repository}",
                repository.to_str().ok_or("the path is not UTF-8")?,
            );
        let path = project.path().join("Cargo.toml");
        std::fs::write(&path, manifest)?;
        // The versions of the repository, which this machine has already downloaded.
        std::fs::copy(
            repository.join("Cargo.lock"),
            project.path().join("Cargo.lock"),
        )?;
        let run = async |arguments: &[&str]| -> Result<()> {
            let mut cargo = cargo();
            cargo.args(arguments).arg("--manifest-path").arg(&path);
            let status = cargo.status().await?;
            if !status.success() {
                return Err(format!("cargo {arguments:?} failed: {status}").into());
            }
            Ok(())
        };
        run(&["fetch", "--quiet"]).await?;
        let target = project.path().join("target");
        let target = target.to_str().ok_or("the path is not UTF-8")?;
        eprintln!("== build {program} in an empty target directory");
        let started = Instant::now();
        run(&["build", "--release", "--quiet", "--target-dir", target]).await?;
        Ok(Measured::new(1, [started.elapsed().as_secs_f64()]))
    }

    /// The size of the command line's program; its profile strips it.
    pub(super) async fn size(&mut self, contender: Contender) -> Result<Measured> {
        let oam = self.programs.path(Program::Oam, contender).await?;
        let megabytes = std::fs::metadata(oam)?.len() as f64 / 1e6;
        Ok(Measured::new(1, [megabytes]))
    }
}
