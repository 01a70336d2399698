//! `cargo xtask package`: checks the manifest and the files of every published crate, and packages them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::workspace;

/// The fields that the registry shows.
const FIELDS: &[&str] = &[
    "description",
    "documentation",
    "homepage",
    "license",
    "readme",
    "repository",
    "rust_version",
];

/// The registry refuses longer lists and longer keywords.
const MAX_LIST_LENGTH: usize = 5;
const MAX_KEYWORD_LENGTH: usize = 20;

/// The files of every package.
const FILES: &[&str] = &["Cargo.toml", "LICENSE", "README.md"];

/// The folder of the published crates.
const PUBLISHED: &str = "crates";

/// Runs the command.
pub(crate) fn run() -> ExitCode {
    match check(&workspace::root()) {
        Ok(problems) if problems.is_empty() => {
            println!("every published crate can be packaged");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            eprintln!("{}", problems.join("\n"));
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn check(root: &Path) -> Result<Vec<String>, String> {
    let metadata = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("no packages found")?;
    let license = workspace::read(&root.join("LICENSE"))?;
    let mut problems = Vec::new();
    let mut published = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().unwrap_or(root);
        let is_published = package["publish"] != Value::Array(Vec::new());
        if is_published != (folder.parent() == Some(&root.join(PUBLISHED))) {
            problems.push(format!(
                "{name}: crates in {PUBLISHED}/ are published, and all others have 'publish = false'"
            ));
        }
        if !is_published {
            continue;
        }
        problems.extend(missing(package).map(|problem| format!("{name}: {problem}")));
        if fs::read_to_string(folder.join("LICENSE")).is_ok_and(|own| own != license) {
            problems.push(format!(
                "{name}: LICENSE differs from that of the workspace"
            ));
        }
        let listed = cargo(root, &["package", "--list", "--allow-dirty", "-p", name])?;
        for file in FILES {
            if !listed.lines().any(|line| line == *file) {
                problems.push(format!("{name}: file not found in the package: {file}"));
            }
        }
        published.extend(["-p", name]);
    }
    if problems.is_empty() {
        let command = ["package", "--quiet", "--no-verify", "--allow-dirty"];
        cargo(root, &[&command[..], &published].concat())?;
    }
    Ok(problems)
}

/// The fields that the manifest of a published crate lacks.
fn missing(package: &Value) -> impl Iterator<Item = String> {
    let mut problems = Vec::new();
    for field in FIELDS {
        if package[*field].as_str().is_none_or(str::is_empty) {
            problems.push(format!("field not found: {field}"));
        }
    }
    for list in ["keywords", "categories"] {
        let length = package[list].as_array().map_or(0, Vec::len);
        if length == 0 || length > MAX_LIST_LENGTH {
            problems.push(format!(
                "invalid {list}: {length} are given; 1 to {MAX_LIST_LENGTH} are allowed"
            ));
        }
    }
    for keyword in package["keywords"].as_array().into_iter().flatten() {
        if keyword.as_str().unwrap_or_default().len() > MAX_KEYWORD_LENGTH {
            problems.push(format!(
                "invalid keyword {keyword}: {MAX_KEYWORD_LENGTH} characters are allowed"
            ));
        }
    }
    let docs = &package["metadata"]["docs"]["rs"];
    if docs["all-features"] != true {
        problems.push("field not found: 'all-features = true' for docs.rs".to_owned());
    }
    if docs["rustdoc-args"] != serde_json::json!(["--cfg", "docsrs"]) {
        problems.push("field not found: 'rustdoc-args' for docs.rs".to_owned());
    }
    problems.into_iter()
}

/// Runs Cargo without network access. Returns stdout.
fn cargo(root: &Path, arguments: &[&str]) -> Result<String, String> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package() -> Value {
        let mut package = json!({
            "keywords": ["agent"],
            "categories": ["asynchronous"],
            "metadata": {"docs": {"rs": {
                "all-features": true,
                "rustdoc-args": ["--cfg", "docsrs"],
            }}},
        });
        for field in FIELDS {
            package[*field] = json!("given");
        }
        package
    }

    #[test]
    fn complete_manifest_has_no_problem() {
        assert_eq!(missing(&package()).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn each_missing_field_is_a_problem() {
        for field in FIELDS.iter().chain(&["keywords", "categories"]) {
            let mut package = package();
            package[*field] = Value::Null;
            let problems: Vec<String> = missing(&package).collect();
            assert_eq!(problems.len(), 1, "{field}: {problems:?}");
            assert!(problems[0].contains(field), "{problems:?}");
        }
        let mut package = package();
        package["metadata"] = Value::Null;
        assert_eq!(missing(&package).count(), 2);
    }

    #[test]
    fn oversized_keywords_are_problems() {
        let mut package = package();
        package["keywords"] = json!(["a", "b", "c", "d", "e", "f".repeat(21)]);
        assert_eq!(missing(&package).count(), 2);
    }
}
