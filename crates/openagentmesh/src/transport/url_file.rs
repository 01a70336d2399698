//! Finding and decoding `.oam-url` files.

use std::path::{Path, PathBuf};

use openagentmesh_protocol::ErrorCode;
use serde::Deserialize;

use super::credentials::expand_home;
use super::trust::{distrusted, read_text};
use super::url::{DEFAULT_URL, malformation};
use crate::error::{Error, Result};

/// The nearest file called `name` in `directory` or above it that another user cannot have written.
/// `passed_over` is called with each nearer one and the reason.
pub(super) fn nearest(
    directory: &Path,
    name: &str,
    passed_over: impl Fn(&Path, &str),
) -> Option<PathBuf> {
    directory.ancestors().find_map(|directory| {
        let path = directory.join(name);
        if !path.is_file() {
            return None;
        }
        match distrusted(&path) {
            None => Some(path),
            Some(reason) => {
                passed_over(&path, &reason);
                None
            }
        }
    })
}

/// Logs that the file at `path` is not used.
pub(super) fn warn(path: &Path, reason: &str) {
    tracing::warn!(
        "passed over {}: {reason}; to use it, change that, or name the mesh with OAM_URL",
        path.display()
    );
}

#[derive(Deserialize)]
pub(super) struct UrlFile {
    pub(super) url: String,
    pub(super) creds: Option<PathBuf>,
}

/// A URL on one line, or TOML with `url` and optional `creds`, which is relative to the file. Both may have
/// comments after `#`.
pub(super) fn read(path: &Path) -> Result<UrlFile> {
    let invalid = |cause: String| {
        Error::raised(
            ErrorCode::Configuration,
            format!(
                "invalid file {}: {cause}; write a URL such as {DEFAULT_URL} into it, or remove it",
                path.display()
            ),
        )
    };
    let text = read_text(path).map_err(invalid)?;
    let checked = |url: &str| match malformation(url) {
        Some(cause) => Err(invalid(cause.to_owned())),
        None => Ok(url.trim().to_owned()),
    };
    let lines = text.lines().map(without_comment);
    let mut lines = lines.filter(|line| !line.is_empty());
    let first = lines
        .next()
        .ok_or_else(|| invalid("it is empty".to_owned()))?;
    if is_bare_url(first) {
        if lines.next().is_some() {
            return Err(invalid("it has more lines after the URL".to_owned()));
        }
        return Ok(UrlFile {
            url: checked(first)?,
            creds: None,
        });
    }
    let mut file: UrlFile = toml::from_str(&text).map_err(|error| {
        invalid(format!(
            "expected a URL, or TOML with a url: {}",
            error.message()
        ))
    })?;
    file.url = checked(&file.url)?;
    if let (Some(creds), Some(directory)) = (&mut file.creds, path.parent()) {
        *creds = directory.join(expand_home(creds));
    }
    Ok(file)
}

/// TOML never has `://` before the first `=` or quote.
fn is_bare_url(line: &str) -> bool {
    let before_value = line.split(['=', '"', '\'']).next().unwrap_or(line);
    before_value.contains("://")
}

/// The line without a comment, which begins with `#` at the start or after white space.
fn without_comment(line: &str) -> &str {
    let is_comment = |(index, _): &(usize, &str)| {
        line[..*index]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
    };
    match line.match_indices('#').find(is_comment) {
        Some((start, _)) => line[..start].trim(),
        None => line.trim(),
    }
}

/// Whether two URLs, or lists of URLs, name the same servers in the same order.
pub(super) fn is_same_url(one: &str, other: &str) -> bool {
    let normalized = |urls: &str| -> Vec<String> { urls.split(',').map(normalize).collect() };
    normalized(one) == normalized(other)
}

fn normalize(url: &str) -> String {
    const DEFAULT_PORT: &str = ":4222";
    let url = url.trim().trim_end_matches('/');
    let (scheme, address) = url.split_once("://").unwrap_or(("nats", url));
    let (login, host) = address.rsplit_once('@').unwrap_or(("", address));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let is_web = matches!(scheme.as_str(), "ws" | "wss");
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']'));
    let port = if has_port || is_web { "" } else { DEFAULT_PORT };
    format!("{scheme}://{login}@{host}{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comment_begins_after_white_space() {
        for (line, expected) in [
            ("nats://a:1", "nats://a:1"),
            ("  # production", ""),
            ("nats://a:1 # production", "nats://a:1"),
            ("nats://u:p#w@a:1", "nats://u:p#w@a:1"),
            ("nats://u:p#w@a:1\t#x#y", "nats://u:p#w@a:1"),
        ] {
            assert_eq!(without_comment(line), expected);
        }
    }

    #[test]
    fn same_url_may_leave_out_scheme_and_port() {
        for (one, other, expected) in [
            ("nats://a:4222", "A", true),
            ("nats://a:4222/", " nats://a:4222", true),
            ("nats://[::1]", "nats://[::1]:4222", true),
            ("nats://a:1, b:2", "a:1,b:2", true),
            ("tls://a:1", "nats://a:1", false),
            ("nats://a:1", "nats://a:2", false),
            ("nats://a:1", "nats://a:1,b:2", false),
            ("nats://u@a:1", "nats://a:1", false),
        ] {
            assert_eq!(is_same_url(one, other), expected, "{one} {other}");
        }
    }
}
