//! Quoting for a POSIX shell.

use std::borrow::Cow;

/// `text` as one word of a POSIX shell.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':');
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// The command of the user's shell that sets an environment variable for the commands after it.
pub(crate) fn export(name: &str, value: &str) -> String {
    let is_fish = std::env::var("SHELL").is_ok_and(|shell| shell.ends_with("/fish"));
    // PowerShell sets this variable, cmd.exe has it only below a PowerShell.
    let is_powershell = cfg!(windows) && std::env::var_os("PSModulePath").is_some();
    if is_powershell {
        format!("$env:{name} = '{}'", value.replace('\'', "''"))
    } else if cfg!(windows) {
        format!("set {name}={value}")
    } else if is_fish {
        format!("set --export {name} {}", word(value))
    } else {
        format!("export {name}={}", word(value))
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn word_with_special_characters_is_quoted() {
        assert_eq!(word("-1.5"), "-1.5");
        assert_eq!(word("\"hello\""), "'\"hello\"'");
        assert_eq!(word("\"it's\""), r#"'"it'\''s"'"#);
        assert_eq!(word("[1]"), "'[1]'");
        assert_eq!(word(""), "''");
    }
}
