//! The pages of the reference, compared with the code.

mod cli;
mod constants;
mod errors;
mod limits;
mod mentions;

use std::fs;

use crate::pages::{self, Page};

/// Writes the generated pages.
///
/// # Errors
///
/// The page that cannot be written.
pub(crate) fn update() -> Result<(), String> {
    let path = pages::docs().join(cli::PAGE);
    let fail = |error| format!("cannot write {}: {error}", path.display());
    fs::write(&path, cli::page()).map_err(fail)?;
    let path = pages::docs().join(limits::PAGE);
    let fail = |error| format!("cannot write {}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(fail)?;
    fs::write(&path, limits::updated(&text)?).map_err(fail)
}

/// The differences between the pages and the code.
///
/// # Errors
///
/// The file that cannot be read.
pub(crate) fn differences(pages: &[Page]) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    let is_current = |page: &Page| page.path == cli::PAGE && page.text == cli::page();
    if !pages.iter().any(is_current) {
        problems.push(format!(
            "docs/{} differs from the arguments of oam: `cargo xtask book --update` writes it",
            cli::PAGE
        ));
    }
    problems.extend(errors::missing(pages));
    problems.extend(limits::differences(pages)?);
    problems.extend(mentions::missing(pages)?);
    Ok(problems)
}
