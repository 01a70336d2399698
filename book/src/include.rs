//! `{{#include PATH}}` and `{{#include PATH:ANCHOR}}`, as mdBook expands them.

use std::fs;
use std::path::Path;

const OPEN: &str = "{{#include ";
const CLOSE: &str = "}}";

/// The text of a page with the included files in place.
///
/// # Errors
///
/// The path that cannot be read, or the anchor that is missing.
pub(crate) fn expand(page: &Path, text: &str) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let (before, after) = rest.split_at(start);
        let Some(end) = after.find(CLOSE) else { break };
        expanded += before;
        expanded += included(page, after[OPEN.len()..end].trim())?.trim_end_matches('\n');
        rest = &after[end + CLOSE.len()..];
    }
    expanded += rest;
    Ok(expanded)
}

fn included(page: &Path, target: &str) -> Result<String, String> {
    let (path, anchor) = match target.split_once(':') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let file = page.parent().unwrap_or(Path::new("")).join(path);
    let text = fs::read_to_string(&file)
        .map_err(|error| format!("{}: cannot include {path}: {error}", page.display()))?;
    let mut is_inside = anchor.is_none();
    let mut is_found = is_inside;
    let mut lines = Vec::new();
    for line in text.lines() {
        let mark = |name: &str| {
            let (_, marked) = line.split_once(name)?;
            marked.split_whitespace().next()
        };
        if let Some(end) = mark("ANCHOR_END:") {
            is_inside &= anchor.is_none() || anchor != Some(end);
        } else if let Some(start) = mark("ANCHOR:") {
            is_inside |= anchor == Some(start);
            is_found |= is_inside;
        } else if is_inside {
            lines.push(line);
        }
    }
    match is_found {
        true => Ok(lines.join("\n")),
        false => Err(format!("{}: {path} has no anchor", page.display())),
    }
}
