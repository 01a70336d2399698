//! What can be a key, and a pattern of keys.

use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};

/// The longest key in bytes: a subject still has room for it.
const LONGEST: usize = 2048;

/// # Errors
///
/// `invalid_input` when `key` is no key.
pub(super) fn check_key(key: &str) -> Result<()> {
    check("key", key, key, |segment| segment.chars().all(is_allowed))
}

/// # Errors
///
/// `invalid_input` when `pattern` is no pattern.
pub(super) fn check_pattern(pattern: &str) -> Result<()> {
    // What stands for all that follows stands last.
    let before = match pattern.strip_suffix('>') {
        Some("") => return Ok(()),
        Some(before) => before.strip_suffix('.').unwrap_or(pattern),
        None => pattern,
    };
    check("pattern of keys", pattern, before, |segment| {
        segment == "*" || segment.chars().all(is_allowed)
    })
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_' | '=')
}

/// Checks the segments of `checked`, which is `text` or its beginning.
fn check(what: &str, text: &str, checked: &str, is_segment: impl Fn(&str) -> bool) -> Result<()> {
    let reason = if text.is_empty() {
        "it is empty"
    } else if text.len() > LONGEST {
        "it is longer than 2048 bytes"
    } else if checked.split('.').any(str::is_empty) {
        "one of its segments, which dots part, is empty"
    } else if !checked.split('.').all(is_segment) {
        "it is made of letters, digits and - / _ = ."
    } else {
        return Ok(());
    };
    Err(Error::raised(
        ErrorCode::InvalidInput,
        format!("'{text}' is no {what}: {reason}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_patterns_are_those_of_the_protocol() {
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
            assert!(
                error.message().starts_with(&format!("'{pattern}' ")),
                "{error}"
            );
        }
    }
}
