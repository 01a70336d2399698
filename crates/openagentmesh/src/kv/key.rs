//! Validation of keys, and of patterns of keys.

use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};

/// The longest key in bytes: its subject fits into the server's limit for one line of the protocol.
const MAX_KEY_BYTES: usize = 2048;

/// # Errors
///
/// `invalid_input` when `key` is not a valid key.
pub(super) fn check_key(key: &str) -> Result<()> {
    check("key", key, key, |segment| segment.chars().all(is_allowed))
}

/// # Errors
///
/// `invalid_input` when `pattern` is not a valid pattern.
pub(super) fn check_pattern(pattern: &str) -> Result<()> {
    // The wildcard for all following segments must be the last one.
    let before = match pattern.strip_suffix('>') {
        Some("") => return Ok(()),
        Some(before) => before.strip_suffix('.').unwrap_or(pattern),
        None => pattern,
    };
    check("key pattern", pattern, before, |segment| {
        segment == "*" || segment.chars().all(is_allowed)
    })
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_' | '=')
}

/// Checks the segments of `checked`, which is `text` or its beginning.
fn check(kind: &str, text: &str, checked: &str, is_segment: impl Fn(&str) -> bool) -> Result<()> {
    let reason = if text.is_empty() {
        "must not be empty"
    } else if text.len() > MAX_KEY_BYTES {
        "must not be longer than 2048 bytes"
    } else if checked.split('.').any(str::is_empty) {
        "segments between dots must not be empty"
    } else if !checked.split('.').all(is_segment) {
        "only letters, digits and - / _ = . are allowed"
    } else {
        return Ok(());
    };
    Err(Error::raised(
        ErrorCode::InvalidInput,
        format!("invalid {kind} '{text}': {reason}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_patterns_match_the_protocol() {
        for key in ["a", "a.b", "A-1/_=.z", "9"] {
            assert!(check_key(key).is_ok(), "{key}");
            assert!(check_pattern(key).is_ok(), "{key}");
        }
        for key in ["", ".", "a.", ".a", "a..b", "a b", "ä", "a:b", "a\n"] {
            assert!(check_key(key).is_err(), "{key}");
            assert!(check_pattern(key).is_err(), "{key}");
        }
        for pattern in [">", "*", "a.*", "*.b", "a.>", "a.*.>"] {
            assert!(check_key(pattern).is_err(), "{pattern}");
            assert!(check_pattern(pattern).is_ok(), "{pattern}");
        }
        for pattern in [">.a", "a*", "a.b>", "a.>.b", ".>", "a..>", ">>"] {
            let error = check_pattern(pattern).unwrap_err();
            let expected = format!("invalid key pattern '{pattern}': ");
            assert!(error.message().starts_with(&expected), "{error}");
        }
        let error = check_key("a b").unwrap_err();
        assert_eq!(
            error.message(),
            "invalid key 'a b': only letters, digits and - / _ = . are allowed"
        );
    }
}
