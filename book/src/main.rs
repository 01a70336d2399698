//! `book`: builds the book in `docs/`, and runs what its pages show.
//!
//! `html` makes the HTML and the plain Markdown, `links` checks their links, `session` runs the blocks of shell and
//! Python, `reference` compares the pages of the reference with the code. The Rust blocks are doc tests of the library
//! of this crate.
#![forbid(unsafe_code)]

mod blocks;
mod html;
mod include;
mod links;
mod pages;
mod recording;
mod reference;
mod session;
mod summary;

use std::process::ExitCode;

use crate::pages::Page;

const USAGE: &str = "\
usage: book build            the book as HTML and Markdown, with its links and reference checked
       book update           the pages that are generated from the code
       book record           the terminal recording of the README, from a run
       book test [PAGE…]     the blocks of shell and Python of the pages whose paths contain PAGE
       book session PAGE     one page, in this process";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("", &[][..]),
    };
    let done = pages::load().and_then(|pages| match (command, rest) {
        ("build", []) => build(&pages),
        ("update", []) => reference::update(),
        ("record", []) => recording::record(),
        ("test", names) => session::run_all(&pages, names).and_then(all),
        ("session", [path]) => {
            let page = pages.iter().find(|page| page.path == *path);
            page.ok_or_else(|| format!("page {path} not found"))
                .and_then(session::run)
        }
        _ => Err(USAGE.to_owned()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn build(pages: &[Page]) -> Result<(), String> {
    let folder = html::build(pages)?;
    println!("the book is in {}", folder.display());
    let mut problems = links::broken(&folder)?;
    problems.extend(session::unrun(pages));
    problems.extend(reference::differences(pages)?);
    all(problems)
}

/// Fails if there are problems.
fn all(problems: Vec<String>) -> Result<(), String> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n\n")),
    }
}
