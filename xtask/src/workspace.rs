//! The members of the workspace and their files.

use std::fs;
use std::path::{Path, PathBuf};

/// A package of the workspace, or another folder whose files count together.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The members that the root manifest lists, in alphabetical order of their folders.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, String> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let list = manifest
        .split_once("\nmembers = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(list, _)| list)
        .ok_or("invalid Cargo.toml: 'members' not found")?;
    let mut folders = Vec::new();
    for pattern in list.split('"').skip(1).step_by(2) {
        match pattern.strip_suffix("/*") {
            Some(parent) => folders.extend(
                entries(&root.join(parent))?
                    .into_iter()
                    .filter(|folder| folder.join("Cargo.toml").is_file()),
            ),
            None => folders.push(root.join(pattern)),
        }
    }
    folders.sort();
    folders
        .into_iter()
        .map(|folder| {
            let name = package_name(&read(&folder.join("Cargo.toml"))?)
                .ok_or_else(|| format!("invalid manifest in {}: no name", folder.display()))?;
            Ok(Member { name, folder })
        })
        .collect()
}

fn package_name(manifest: &str) -> Option<String> {
    let line = manifest.lines().find(|line| line.starts_with("name = "))?;
    line.split('"').nth(1).map(str::to_owned)
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
