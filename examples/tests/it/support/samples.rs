//! The Rust samples of doc comments and of Markdown.

use std::fs;
use std::path::{Path, PathBuf};

/// A block of code in a document.
pub(crate) struct Sample {
    /// The file and the line of the block's first line.
    pub(crate) origin: String,
    /// The info string of the fence, such as `rust` or `no_run`.
    pub(crate) language: String,
    pub(crate) code: String,
}

impl Sample {
    /// The code as an item of a module, by the rules of rustdoc.
    pub(crate) fn item(&self) -> String {
        let code = &self.code;
        if code.contains("fn main(") {
            code.clone()
        } else if code.trim_end().ends_with("(())") {
            format!(
                "fn main() {{\nfn inner() -> Result<(), impl std::fmt::Debug> {{\n{code}\n}}\n\
                 inner().unwrap();\n}}\n"
            )
        } else {
            format!("fn main() {{\n{code}\n}}\n")
        }
    }

    /// Whether the code names `dependency` as a crate, and not as a re-export of the SDK.
    pub(crate) fn needs(&self, dependency: &str) -> bool {
        let name = dependency.replace('-', "_");
        let is_reexport = self
            .code
            .split("openagentmesh::")
            .skip(1)
            .any(|rest| imported(rest).any(|import| import == name));
        let path = format!("{name}::");
        let named = self.code.match_indices(&path).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            !before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric())
        });
        named && !is_reexport
    }
}

/// The names that follow `openagentmesh::` in an import.
fn imported(rest: &str) -> impl Iterator<Item = &str> {
    let names = match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default(),
        None => rest.split(';').next().unwrap_or_default(),
    };
    names.split(',').map(str::trim)
}

/// The Rust samples in the doc comments of a crate.
pub(crate) fn of_crate(folder: &Path) -> Vec<Sample> {
    let mut samples = Vec::new();
    for file in rust_files(&folder.join("src")) {
        let source = fs::read_to_string(&file).unwrap();
        let docs: Vec<Option<&str>> = source.lines().map(doc_text).collect();
        samples.extend(blocks(&file, &docs));
    }
    const RUST: [&str; 3] = ["", "no_run", "rust"];
    samples.retain(|sample| RUST.contains(&sample.language.as_str()));
    samples
}

/// All blocks of a Markdown file.
pub(crate) fn of_markdown(file: &Path) -> Vec<Sample> {
    let text = fs::read_to_string(file).unwrap();
    blocks(file, &text.lines().map(Some).collect::<Vec<_>>())
}

fn blocks(file: &Path, lines: &[Option<&str>]) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut open: Option<Sample> = None;
    for (number, line) in (1..).zip(lines) {
        let Some(line) = line else { continue };
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                open = Some(Sample {
                    origin: format!("{}:{number}", file.display()),
                    language: language.to_owned(),
                    code: String::new(),
                });
            }
            (Some(_), Some(_)) => samples.extend(open.take()),
            (Some(sample), None) => {
                sample
                    .code
                    .push_str(shown_or_hidden(line, &sample.language));
                sample.code.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "unclosed block in {}", file.display());
    samples
}

/// A line of code. Rustdoc compiles the lines after `# `, too, and does not show them.
fn shown_or_hidden<'l>(line: &'l str, language: &str) -> &'l str {
    let code = line.trim_start();
    if matches!(language, "toml" | "bash") {
        line
    } else if code == "#" {
        ""
    } else {
        code.strip_prefix("# ").unwrap_or(line)
    }
}

/// The text of a doc comment.
fn doc_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("//!").or(line.strip_prefix("///"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sample(code: &str) -> Sample {
    Sample {
        origin: "test".to_owned(),
        language: String::new(),
        code: code.to_owned(),
    }
}

#[test]
fn named_crate_is_a_dependency_of_the_sample() {
    assert!(sample("use serde::Deserialize;").needs("serde"));
    assert!(sample("#[derive(serde::Deserialize)]").needs("serde"));
    assert!(sample("async_stream::stream! {}").needs("async-stream"));
    assert!(!sample("serde_json::json!(1)").needs("serde"));
}

#[test]
fn reexport_of_the_sdk_is_no_dependency_of_the_sample() {
    let code = "use openagentmesh::{agent, serde};\n#[derive(serde::Deserialize)]";
    assert!(!sample(code).needs("serde"));
    assert!(!sample("use openagentmesh::serde;\nserde::de").needs("serde"));
    assert!(!sample("openagentmesh::futures::stream::empty()").needs("futures"));
}

#[test]
fn sample_without_a_main_function_becomes_an_item() {
    assert_eq!(sample("let a = 1;").item(), "fn main() {\nlet a = 1;\n}\n");
    assert_eq!(sample("fn main() {}").item(), "fn main() {}");
    assert!(sample("Ok::<(), ()>(())\n").item().contains("-> Result<"));
}
