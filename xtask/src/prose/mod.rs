//! `cargo xtask prose`: counts the words and sentence forms that `docs/STYLE.md` rules out.

mod markdown;
mod rules;
mod rust;
mod script;
mod text;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::workspace::{self, Member};
use rules::{Hit, Rules};
use text::{Block, Kind};

/// The number of hits per 1,000 words above which a crate fails.
const MAX_HITS_PER_1000_WORDS: f64 = 1.0;

/// Files that quote ruled-out words, in code spans.
const QUOTING: &[&str] = &["docs/STYLE.md", "docs/glossary.md"];

/// The words and hits of one file.
#[derive(Default)]
struct Count {
    words: usize,
    hits: Vec<Hit>,
}

/// Runs the command. `arguments` are `--list`, names of crates, and folders outside the workspace.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    match count_all(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn count_all(arguments: &[&str]) -> Result<bool, String> {
    let names: Vec<&str> = arguments
        .iter()
        .copied()
        .filter(|argument| *argument != "--list")
        .collect();
    let list = names.len() < arguments.len() || !names.is_empty();
    let root = workspace::root();
    let rules = Rules::new();
    let mut table = format!(
        "{:<24} {:>8} {:>6} {:>9}\n",
        "crate", "words", "hits", "per 1,000"
    );
    let mut plain = true;
    let mut listed = Vec::new();
    for (name, sources) in selected(&root, &names)? {
        let mut words = 0;
        let mut hits = 0;
        for path in sources {
            let count = count_file(&rules, &root, &path)?;
            words += count.words;
            hits += count.hits.len();
            let shown = path
                .strip_prefix(&root)
                .unwrap_or(&path)
                .display()
                .to_string();
            listed.extend(count.hits.into_iter().map(|hit| {
                let Hit { line, rule, text } = hit;
                format!("{shown}:{line}: {rule}: {text}")
            }));
        }
        let rate = hits as f64 * 1000.0 / words.max(1) as f64;
        plain &= rate <= MAX_HITS_PER_1000_WORDS;
        table += &format!("{name:<24} {words:>8} {hits:>6} {rate:>9.1}\n");
    }
    if list {
        table += &format!("\n{}\n", listed.join("\n"));
    }
    std::io::stdout()
        .write_all(table.as_bytes())
        .map_err(|error| format!("cannot print the counts: {error}"))?;
    if !plain {
        eprintln!(
            "\na crate has more than {MAX_HITS_PER_1000_WORDS} hits per 1,000 words; \
             `cargo xtask prose CRATE` lists them, docs/STYLE.md has the rules"
        );
    }
    Ok(plain)
}

/// The files that are counted together: members and `docs`, or only those of `names`.
fn selected(root: &Path, names: &[&str]) -> Result<Vec<(String, Vec<PathBuf>)>, String> {
    let mut all = Vec::new();
    for Member { name, folder, .. } in workspace::members(root)? {
        all.push((name, workspace::files(&folder)?));
    }
    all.push(("docs".to_owned(), documents(root)?));
    if names.is_empty() {
        return Ok(all);
    }
    names
        .iter()
        .map(|name| {
            if let Some(index) = all.iter().position(|(known, _)| known == name) {
                return Ok(all.swap_remove(index));
            }
            if Path::new(name).is_dir() {
                return Ok(((*name).to_owned(), workspace::files(Path::new(name))?));
            }
            Err(format!(
                "invalid crate '{name}': neither a member of the workspace, nor 'docs', nor a folder"
            ))
        })
        .collect()
}

/// `docs/`, `.ci/`, and the Markdown files and manifests of the root.
fn documents(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = workspace::files(&root.join("docs"))?;
    files.extend(workspace::files(&root.join(".ci"))?);
    files.extend(
        workspace::entries(root)?
            .into_iter()
            .filter(|path| path.is_file()),
    );
    Ok(files)
}

fn count_file(rules: &Rules, root: &Path, path: &Path) -> Result<Count, String> {
    let within = path.strip_prefix(root).unwrap_or(path);
    let blocks = match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => rust::blocks(&workspace::read(path)?, is_test(within)),
        Some("md") => vec![Block {
            kind: Kind::Markdown,
            lines: (1..)
                .zip(workspace::read(path)?.lines().map(str::to_owned))
                .collect(),
        }],
        Some("py") => script::blocks(&workspace::read(path)?, true),
        Some("toml" | "sh" | "yml" | "yaml") => script::blocks(&workspace::read(path)?, false),
        None if within.starts_with(".ci") => script::blocks(&workspace::read(path)?, false),
        _ => Vec::new(),
    };
    let quotes = QUOTING.iter().any(|file| within == Path::new(file));
    Ok(count(rules, &blocks, quotes))
}

/// Whether the string literals of the file belong to tests.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| {
        matches!(
            part.as_os_str().to_str(),
            Some("tests" | "benches" | "tests.rs")
        )
    })
}

fn count(rules: &Rules, blocks: &[Block], quotes: bool) -> Count {
    let mut count = Count::default();
    for block in blocks {
        let mut first = true;
        for paragraph in markdown::paragraphs(block) {
            count.words += paragraph.words();
            count
                .hits
                .extend(rules.check(&paragraph, block.kind, first, quotes));
            first = false;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(source: &str) -> Vec<(usize, &'static str)> {
        let count = count(&Rules::new(), &rust::blocks(source, false), false);
        let mut hits: Vec<_> = count.hits.iter().map(|hit| (hit.line, hit.rule)).collect();
        hits.sort_unstable();
        hits
    }

    #[test]
    fn source_with_ruled_out_words_is_counted_by_line() {
        let source = "\
            /// Takes what is left,\n\
            /// for whoever asks.\n\
            fn a() {\n\
            // Nobody asks any\n\
            // more.\n\
            let x = \"there is no such key\";\n\
            }\n";
        assert_eq!(
            hits(source),
            [
                (2, "whoever"),
                (4, "any more"),
                (4, "nobody"),
                (6, "error text")
            ]
        );
    }

    #[test]
    fn strings_of_tests_are_not_counted() {
        let source = "\
            #[cfg(test)]\n\
            mod tests {\n\
            #[test]\n\
            fn x() { let y = [\"there is no such key\"; 3]; }\n\
            }\n\
            const Z: &str = \"there is no such key\";\n";
        assert_eq!(hits(source), [(6, "error text")]);
    }

    #[test]
    fn quoting_file_may_have_ruled_out_words_in_code_spans() {
        let block = Block {
            kind: Kind::Markdown,
            lines: vec![(1, "Never `nobody`, and never anew.".to_owned())],
        };
        let rules = Rules::new();
        let quoting = count(&rules, std::slice::from_ref(&block), true);
        assert_eq!(quoting.hits.len(), 1);
        assert_eq!(count(&rules, &[block], false).hits.len(), 2);
    }
}
