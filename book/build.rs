//! Writes the pages of the book as modules with docs, whose Rust blocks are doc tests.
#![allow(
    clippy::expect_used,
    reason = "a build script reports a problem by a panic"
)]

#[path = "src/include.rs"]
mod include;
#[path = "src/summary.rs"]
mod summary;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The text without the attribute `file=…` of Rust blocks, which rustdoc does not know.
fn for_rustdoc(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(",file=") {
        Some((before, _)) if line.starts_with("```rust") => before,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn main() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    println!("cargo::rerun-if-changed={}", docs.display());
    println!("cargo::rerun-if-changed=../examples");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).expect("docs/SUMMARY.md");
    let mut modules = String::new();
    for (number, page) in summary::pages(&summary).iter().enumerate() {
        // Decisions quote code of their time.
        let Ok(text) = fs::read_to_string(docs.join(page)) else {
            continue;
        };
        if page.starts_with("adr/") || !text.contains("```rust") {
            continue;
        }
        let text = include::expand(&docs.join(page), &text).expect("an included file");
        let text = for_rustdoc(&text);
        let file = out.join(format!("page_{number}.md"));
        fs::write(&file, text).expect("OUT_DIR is writable");
        let module = page.replace(['/', '-', '.'], "_");
        let _ = writeln!(
            modules,
            "/// {page}\n///\n#[doc = include_str!({file:?})]\npub mod {module} {{}}\n"
        );
    }
    fs::write(out.join("pages.rs"), modules).expect("OUT_DIR is writable");
}
