//! The book as HTML, and each page as plain Markdown beside it, for agents that read.

use std::fs;
use std::path::{Path, PathBuf};

use mdbook_driver::MDBook;

use crate::pages::Page;
use crate::session::sandbox;
use crate::{blocks, pages};

/// The folder of the built book.
pub(crate) fn folder() -> PathBuf {
    sandbox::target().join("book").join("html")
}

/// Builds the book.
///
/// # Errors
///
/// The problem of mdBook, or the file that cannot be written.
pub(crate) fn build(pages: &[Page]) -> Result<PathBuf, String> {
    let folder = folder();
    let mut book = MDBook::load(pages::docs()).map_err(|error| format!("{error:#}"))?;
    book.config.build.build_dir.clone_from(&folder);
    book.build().map_err(|error| format!("{error:#}"))?;
    make_accessible(&folder)?;
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    let mut full = String::new();
    for page in pages {
        let text = for_readers(page);
        write(&folder.join(&page.path), &text)?;
        full += &format!("<!-- {} -->\n\n{text}\n", page.path);
    }
    write(&folder.join("llms.txt"), &list(pages))?;
    write(&folder.join("llms-full.txt"), &full)?;
    Ok(folder)
}

/// Parts of the HTML of mdBook that assistive technology cannot use, and what they become.
const ACCESSIBLE: &[(&str, &str)] = &[
    // The bar is a landmark, and its switch of the sidebar a button.
    (
        "<div id=\"mdbook-menu-bar\"",
        "<div role=\"banner\" id=\"mdbook-menu-bar\"",
    ),
    (
        "<label id=\"mdbook-sidebar-toggle\" class=\"icon-button\" for=\"mdbook-sidebar-toggle-anchor\"",
        "<button type=\"button\" id=\"mdbook-sidebar-toggle\" class=\"icon-button\" \
         onclick=\"document.getElementById('mdbook-sidebar-toggle-anchor').click()\"",
    ),
    ("</label>", "</button>"),
    // A header without a text is no header.
    ("<th></th>", "<td></td>"),
    // Code and tables that are wider than the page are scrolled by the keyboard, too.
    (
        "<div class=\"table-wrapper\">",
        "<div tabindex=\"0\" class=\"table-wrapper\">",
    ),
    (
        "<code class=\"language-",
        "<code tabindex=\"0\" class=\"language-",
    ),
];

/// Changes the HTML files in `folder` and below as [`ACCESSIBLE`] says.
fn make_accessible(folder: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot change {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            make_accessible(&path)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let mut text = fs::read_to_string(&path).map_err(fail)?;
            for (before, after) in ACCESSIBLE {
                text = text.replace(before, after);
            }
            fs::write(&path, text).map_err(fail)?;
        }
    }
    Ok(())
}

/// The Markdown of a page as a reader of the HTML sees it: with included files, without hidden lines.
fn for_readers(page: &Page) -> String {
    let mut hidden = vec![false; page.text.lines().count()];
    for block in blocks::of(&page.text) {
        let is_hidden = |line: &String| match block.language.as_str() {
            "python" => line.starts_with('~'),
            "rust" => line.trim() == "#" || line.trim_start().starts_with("# "),
            _ => false,
        };
        for (index, line) in block.lines.iter().enumerate() {
            hidden[block.line + index] = is_hidden(line);
        }
    }
    let lines = page.text.lines().zip(hidden);
    let visible = lines.filter(|(_, hidden)| !hidden).map(|(line, _)| line);
    visible.collect::<Vec<_>>().join("\n") + "\n"
}

/// `llms.txt`: the pages with their first sentences.
fn list(pages: &[Page]) -> String {
    let mut list = String::from(
        "# OpenAgentMesh for Rust\n\n\
         > The fabric for multi-agent systems: agents are plain functions with typed contracts, runtime discovery and \
         load balancing over NATS, in Rust and in Python.\n\n\
         Each page is here as plain Markdown. `llms-full.txt` has all pages in one file. A coding agent that sets up a \
         mesh starts with `reference/coding-agents.md`.\n",
    );
    let mut folder = "";
    for page in pages.iter().filter(|page| !page.is_decision()) {
        let (section, _) = page.path.split_once('/').unwrap_or(("", ""));
        if section != folder || page.path == pages[0].path {
            let title = match section {
                "start" => "Five minutes",
                "concepts" => "Concepts",
                "cookbook" => "Cookbook",
                "protocol" => "The protocol, for implementers",
                "reference" => "Reference",
                _ => "Overview",
            };
            list += &format!("\n## {title}\n\n");
            folder = section;
        }
        let lead = page.lead();
        let sentence = lead.split_inclusive(". ").next().unwrap_or_default().trim();
        list += &format!("- [{}]({}): {sentence}\n", page.title(), page.path);
    }
    list
}
