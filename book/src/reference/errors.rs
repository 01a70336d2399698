//! `reference/errors/`: a page for each code.

use openagentmesh::ErrorCode;

use crate::pages::Page;

/// The codes without a page, and the pages without a cause or a remedy.
pub(super) fn missing(pages: &[Page]) -> Vec<String> {
    let codes = ErrorCode::KNOWN.iter().chain(ErrorCode::LOCAL);
    let problems = codes.filter_map(|code| {
        let path = format!("reference/errors/{code}.md");
        let Some(page) = pages.iter().find(|page| page.path == path) else {
            return Some(format!(
                "docs/{path} is missing: each error code has a page"
            ));
        };
        let missing = ["## Cause", "## Remedy"]
            .into_iter()
            .find(|heading| !page.text.contains(heading))?;
        Some(format!("docs/{path} has no section '{missing}'"))
    });
    problems.collect()
}
