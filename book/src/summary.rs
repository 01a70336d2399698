//! `SUMMARY.md`: the list of the pages.

/// The paths of the pages, relative to `docs/`, in their order.
pub(crate) fn pages(summary: &str) -> Vec<String> {
    let links = summary.lines().filter_map(|line| {
        let (_, target) = line.rsplit_once("](")?;
        let target = target.trim_end().strip_suffix(')')?;
        target.ends_with(".md").then(|| target.to_owned())
    });
    links.collect()
}
