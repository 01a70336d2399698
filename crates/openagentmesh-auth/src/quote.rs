//! Texts in the syntax of the server's configuration.

use std::path::Path;

use crate::AuthError;

/// A path as a double-quoted string.
pub(crate) fn quoted_path(path: &Path) -> Result<String, AuthError> {
    match path.to_str() {
        Some(text) => quoted("path", text),
        None => quoted("path", &format!("{}\0", path.display())),
    }
}

/// A double-quoted string.
pub(crate) fn quoted(what: &'static str, text: &str) -> Result<String, AuthError> {
    if text.chars().any(char::is_control) {
        return Err(AuthError::Invalid {
            what,
            value: text.to_owned(),
            allowed: "only UTF-8 without control characters is allowed; rename the file",
        });
    }
    Ok(format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"")
    ))
}
