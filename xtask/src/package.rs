//! `cargo xtask package`: checks the manifest and the files of every published crate, and packages them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::workspace::{self, Member};

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
    let license = workspace::read(&root.join("LICENSE"))?;
    let mut problems = Vec::new();
    for Member {
        name,
        folder,
        package,
    } in workspace::members(root)?
    {
        let is_published = package["publish"] != Value::Array(Vec::new());
        if is_published != (folder.parent() == Some(&root.join(PUBLISHED))) {
            problems.push(format!(
                "{name}: crates in {PUBLISHED}/ are published, and all others have 'publish = false'"
            ));
        }
        if !is_published {
            continue;
        }
        problems.extend(missing(&package).map(|problem| format!("{name}: {problem}")));
        if fs::read_to_string(folder.join("LICENSE")).is_ok_and(|own| own != license) {
            problems.push(format!(
                "{name}: LICENSE differs from that of the workspace"
            ));
        }
        let listed = ["package", "--list", "--allow-dirty", "-p", &name];
        let listed = workspace::cargo(root, &listed)?;
        for file in FILES {
            if !listed.lines().any(|line| line == *file) {
                problems.push(format!("{name}: file not found in the package: {file}"));
            }
        }
        for file in listed.lines().filter(|file| file.ends_with(".rs")) {
            let text = workspace::read(&folder.join(file))?;
            if let Some(path) = outside(Path::new(file), &text) {
                problems.push(format!(
                    "{name}: {file} does not compile from the package: it reads {path}"
                ));
            }
        }
    }
    if problems.is_empty() {
        // The default members. `bench` cannot be packaged: its dependency `interop` is not published.
        let command = ["package", "--quiet", "--no-verify", "--allow-dirty"];
        workspace::cargo(root, &command)?;
    }
    Ok(problems)
}

/// The first path in the source `file` of a package that leads out of the package.
fn outside<'t>(file: &Path, text: &'t str) -> Option<&'t str> {
    let depth = file.components().count() - 1;
    let mut literals = text.split('"').skip(1);
    literals.find(|literal| {
        let relative = literal.trim_start_matches("../");
        let of_manifest = literal.starts_with("/..") && text.contains("CARGO_MANIFEST_DIR");
        of_manifest || (literal.len() - relative.len()) / "../".len() > depth
    })
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
    fn path_out_of_the_package_is_found() {
        let file = Path::new("tests/it/demo.rs");
        let found = outside(file, r#"include_str!("../../../../README.md")"#);
        assert_eq!(found, Some("../../../../README.md"));
        let manifest = r#"concat!(env!("CARGO_MANIFEST_DIR"), "/../..")"#;
        assert_eq!(outside(file, manifest), Some("/../.."));
        assert_eq!(outside(file, r#"include_str!("../../wire/a.jsonl")"#), None);
    }

    #[test]
    fn oversized_keywords_are_problems() {
        let mut package = package();
        package["keywords"] = json!(["a", "b", "c", "d", "e", "f".repeat(21)]);
        assert_eq!(missing(&package).count(), 2);
    }
}
