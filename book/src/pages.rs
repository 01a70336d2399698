//! The pages of the book with their included files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{include, summary};

/// A page.
pub(crate) struct Page {
    /// Relative to `docs/`, such as `concepts/streams.md`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Page {
    /// The first heading.
    pub(crate) fn title(&self) -> &str {
        let heading = self.text.lines().find_map(|line| line.strip_prefix("# "));
        heading.unwrap_or(&self.path).trim()
    }

    /// The first paragraph after the title, in one line.
    pub(crate) fn lead(&self) -> String {
        let after_title = self.text.lines().skip_while(|line| !line.starts_with("# "));
        let paragraph = after_title
            .skip(1)
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| !line.trim().is_empty());
        paragraph.collect::<Vec<_>>().join(" ")
    }

    /// Whether the page is a decision, which quotes code of its time.
    pub(crate) fn is_decision(&self) -> bool {
        self.path.starts_with("adr/")
    }
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    // The manifest is in a folder of the repository.
    root.unwrap_or(Path::new("/")).to_owned()
}

/// The folder of the pages.
pub(crate) fn docs() -> PathBuf {
    repository().join("docs")
}

/// All pages, in the order of the summary. A missing page fails the build of the book.
///
/// # Errors
///
/// The page or the included file that cannot be read.
pub(crate) fn load() -> Result<Vec<Page>, String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let docs = docs();
    let summary = read(&docs.join("SUMMARY.md"))?;
    let paths = summary::pages(&summary).into_iter();
    let pages = paths.filter(|path| docs.join(path).exists()).map(|path| {
        let file = docs.join(&path);
        let text = include::expand(&file, &read(&file)?)?;
        Ok(Page { path, text })
    });
    pages.collect()
}
