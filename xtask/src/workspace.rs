//! The members of the workspace and their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A package of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The package as `cargo metadata` describes it.
    pub(crate) package: Value,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The folder of what is built.
pub(crate) fn target() -> PathBuf {
    let own = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    own.unwrap_or_else(|| root().join("target"))
}

/// The members, in alphabetical order of their folders.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, String> {
    let metadata = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("no packages found")?;
    let mut members: Vec<Member> = packages
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
            Member {
                name: package["name"].as_str().unwrap_or_default().to_owned(),
                folder: manifest.parent().unwrap_or(root).to_owned(),
                package: package.clone(),
            }
        })
        .collect();
    members.sort_by(|one, other| one.folder.cmp(&other.folder));
    Ok(members)
}

/// Runs Cargo without network access. Returns stdout.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("cargo")
        .args(arguments)
        .arg("--offline")
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo {} failed: {stderr}", arguments.join(" ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The files below `folder`, sorted, without hidden and generated folders. A `folder` that is a
/// file is the only entry.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut files = Vec::new();
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() {
            files.push(path);
        } else if !name.starts_with('.') && !matches!(&*name, "target" | "__pycache__") {
            files.extend(self::files(&path)?);
        }
    }
    Ok(files)
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The paths in a folder, sorted.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("cannot read {}: {error}", folder.display());
    let mut paths = fs::read_dir(folder)
        .map_err(cannot)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(cannot)?;
    paths.sort();
    Ok(paths)
}
