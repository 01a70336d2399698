//! Finding and decoding `.oam-url` files.

use std::path::{Path, PathBuf};

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
        match distrusted(&path, directory) {
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

/// The reason for which the file at `path` may be that of another user.
#[cfg(unix)]
fn distrusted(path: &Path, directory: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let user = rustix::process::geteuid().as_raw();
    let unreadable = |error: std::io::Error| format!("cannot read its owner: {error}");
    // The owner of a link decides where it leads.
    for found in [std::fs::symlink_metadata(path), std::fs::metadata(path)] {
        match found {
            Ok(file) if is_foreign(file.uid(), user) => {
                return Some(format!("it is owned by another user, {}", file.uid()));
            }
            Ok(_) => {}
            Err(error) => return Some(unreadable(error)),
        }
    }
    match std::fs::metadata(directory) {
        Ok(directory) if is_writable_by_all(directory.mode()) => {
            Some("its directory is writable by all users".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(unreadable(error)),
    }
}

#[cfg(not(unix))]
fn distrusted(_path: &Path, _directory: &Path) -> Option<String> {
    None
}

#[cfg(unix)]
fn is_foreign(owner: u32, user: u32) -> bool {
    owner != user && owner != 0
}

/// Whether any user can replace a file in a directory with this `mode`. In a sticky directory, such as
/// `/tmp`, only the owner of a file can.
#[cfg(unix)]
fn is_writable_by_all(mode: u32) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    mode & OTHERS_WRITE != 0 && mode & STICKY == 0
}

/// The text of a file in UTF-8, without a byte order mark.
///
/// # Errors
///
/// The cause, when the file is not UTF-8.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, &'static str> {
    if is_utf16(&bytes) {
        return Err("it is UTF-16, not UTF-8");
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}

/// By its byte order mark, or by a first character of two bytes, one of them zero.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

/// The line without a comment, which begins with `#` at the start or after white space.
pub(super) fn without_comment(line: &str) -> &str {
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

    #[cfg(unix)]
    #[test]
    fn file_of_another_user_is_foreign_unless_that_is_root() {
        assert!(is_foreign(1001, 1000));
        assert!(is_foreign(1000, 0));
        assert!(!is_foreign(1000, 1000));
        assert!(!is_foreign(0, 1000));
    }

    #[cfg(unix)]
    #[test]
    fn directory_writable_by_all_is_one_where_all_can_replace_files() {
        for (mode, expected) in [
            (0o755, false),
            (0o775, false),
            (0o777, true),
            (0o1777, false),
        ] {
            assert_eq!(is_writable_by_all(mode), expected, "{mode:o}");
        }
    }

    #[test]
    fn file_of_another_encoding_is_named() {
        assert_eq!(decode(b"nats://a".to_vec()).unwrap(), "nats://a");
        assert_eq!(
            decode(b"\xef\xbb\xbfnats://a".to_vec()).unwrap(),
            "nats://a"
        );
        for bytes in [&b"\xff\xfen\0"[..], b"\xfe\xff\0n", b"n\0a\0", b"\0n\0a"] {
            assert!(decode(bytes.to_vec()).unwrap_err().contains("UTF-16"));
        }
        assert!(decode(b"nats://\xe9".to_vec()).is_err());
    }

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
