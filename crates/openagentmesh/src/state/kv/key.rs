//! What can be a key, and a pattern of keys.

use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};

/// # Errors
///
/// `invalid_input` when `key` is no key.
pub(super) fn check_key(key: &str) -> Result<()> {
    check("key", key, |segment| segment.chars().all(is_allowed))
}

/// # Errors
///
/// `invalid_input` when `pattern` is no pattern.
pub(super) fn check_pattern(pattern: &str) -> Result<()> {
    if let Some((before, ">")) = pattern.rsplit_once('.') {
        return check_pattern(before);
    }
    check("pattern of keys", pattern, |segment| {
        segment == "*" || segment.chars().all(is_allowed)
    })
    .or_else(|error| if pattern == ">" { Ok(()) } else { Err(error) })
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_' | '=')
}

fn check(what: &str, text: &str, is_segment: impl Fn(&str) -> bool) -> Result<()> {
    let reason = if text.is_empty() {
        "it is empty"
    } else if text.split('.').any(str::is_empty) {
        "one of its segments, which dots part, is empty"
    } else if !text.split('.').all(is_segment) {
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
        for pattern in [">.a", "a*", "a.b>", "a.>.b", ".>", "a..>"] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
