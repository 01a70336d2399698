//! The links of the built book: pages, anchors, and files of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::pages;

/// The address of a file of the repository, without its path.
const REPOSITORY: &str = "https://github.com/openagentmesh/openagentmesh-rs/";

/// The links of all HTML files in `folder` that lead nowhere.
///
/// # Errors
///
/// The file that cannot be read.
pub(crate) fn broken(folder: &Path) -> Result<Vec<String>, String> {
    let mut texts = BTreeMap::new();
    read(folder, &mut texts)?;
    let id = pattern(r#"\sid="([^"]+)""#)?;
    let link = pattern(r#"\s(?:href|src)="([^"]+)""#)?;
    let anchors: BTreeMap<&PathBuf, BTreeSet<&str>> = texts
        .iter()
        .map(|(path, text)| {
            let found = id.captures_iter(text).filter_map(|found| found.get(1));
            (path, found.map(|id| id.as_str()).collect())
        })
        .collect();
    let mut broken = BTreeSet::new();
    for (path, text) in &texts {
        let shown = path.strip_prefix(folder).unwrap_or(path).display();
        for target in link.captures_iter(text).filter_map(|found| found.get(1)) {
            let target = target.as_str().replace("&amp;", "&");
            if let Some(problem) = problem_of(path, &target, &anchors) {
                broken.insert(format!("{shown}: {target}: {problem}"));
            }
        }
    }
    Ok(broken.into_iter().collect())
}

fn problem_of(
    page: &Path,
    target: &str,
    anchors: &BTreeMap<&PathBuf, BTreeSet<&str>>,
) -> Option<&'static str> {
    if let Some(file) = target.strip_prefix(REPOSITORY) {
        let file = file.split(['#', '?']).next().unwrap_or_default();
        let path = ["blob/main/", "tree/main/", "edit/main/"];
        let path = path.iter().find_map(|kind| file.strip_prefix(kind))?;
        return (!pages::repository().join(path).exists()).then_some("no such file");
    }
    if target.contains("://") || target.starts_with("mailto:") || target.starts_with("data:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match file {
        "" => page.to_owned(),
        file => normal(&page.parent()?.join(file)),
    };
    if !file.exists() {
        return Some("no such page");
    }
    let known = anchors.get(&file)?;
    (!anchor.is_empty() && !known.contains(anchor)).then_some("no such anchor")
}

/// The HTML files in `folder` and below. The page for printing repeats all others.
fn read(folder: &Path, texts: &mut BTreeMap<PathBuf, String>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let is_html = path
            .extension()
            .is_some_and(|extension| extension == "html");
        let is_all = ["print.html", "404.html"]
            .iter()
            .any(|name| path.ends_with(name));
        if path.is_dir() {
            read(&path, texts)?;
        } else if is_html && !is_all {
            let text = fs::read_to_string(&path).map_err(fail)?;
            texts.insert(path, text);
        }
    }
    Ok(())
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}
