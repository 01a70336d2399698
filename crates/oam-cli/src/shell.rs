//! Quoting of the words of a suggested command, for the shell of the user.

use std::borrow::Cow;

/// A shell, by its rules of quoting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "PowerShell is the name of the shell"
)]
enum Shell {
    Posix,
    /// The command prompt of Windows.
    Cmd,
    /// PowerShell 5, which drops double quotes within an argument unless a backslash precedes them.
    WindowsPowerShell,
    /// PowerShell 7.3 and newer.
    PowerShell,
}

/// `text` as one word of the user's shell.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    Shell::of_user(cfg!(windows), |name| std::env::var(name).ok()).word(text)
}

impl Shell {
    /// The shell that has started this process, as far as the environment tells.
    fn of_user(is_windows: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        // Git Bash and MSYS2 set it.
        if !is_windows || variable("MSYSTEM").is_some() {
            return Self::Posix;
        }
        // Each PowerShell puts the modules of the user first; the list of the machine has no such folder.
        let modules = variable("PSModulePath").unwrap_or_default();
        let modules = modules.to_ascii_lowercase().replace('/', "\\");
        let first = modules.split(';').next().unwrap_or_default();
        if first.ends_with("\\documents\\powershell\\modules") {
            Self::PowerShell
        } else if first.ends_with("\\documents\\windowspowershell\\modules") {
            Self::WindowsPowerShell
        } else {
            Self::Cmd
        }
    }

    fn word(self, text: &str) -> Cow<'_, str> {
        if self.is_plain(text) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(match self {
            Self::Posix => posix_quoted(text),
            Self::Cmd => for_cmd(text),
            Self::WindowsPowerShell if text.is_empty() => r#"'""'"#.to_owned(),
            Self::WindowsPowerShell => {
                let has_space = text.contains(char::is_whitespace);
                single_quoted(&escape_quotes(text, has_space))
            }
            Self::PowerShell => single_quoted(text),
        })
    }

    /// Whether the shell takes `text` for itself, at every place after the name of the command.
    fn is_plain(self, text: &str) -> bool {
        let is_plain = |c: char| match c {
            '.' | '_' | '-' | '/' | ':' | '=' => true,
            '@' | ',' | '+' => self == Self::Posix,
            '\\' => self != Self::Posix,
            _ => c.is_ascii_alphanumeric(),
        };
        // zsh replaces `=name` at the start of a word by a path.
        !text.is_empty() && !text.starts_with('=') && text.chars().all(is_plain)
    }
}

/// `text` in quotes of a POSIX shell.
pub(crate) fn posix_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word of the command prompt, which knows double quotes only, and of the program, which gets the whole line and takes
/// it apart by the rules of the C runtime.
fn for_cmd(text: &str) -> String {
    const META: [char; 9] = ['&', '|', '<', '>', '^', '%', '!', '(', ')'];

    let quoted = format!("\"{}\"", escape_quotes(text, true));
    // The command prompt takes each double quote for the begin or the end of its own quotes, the escaped ones too.
    if !(text.contains(['%', '!']) || text.contains('"') && text.contains(META)) {
        return quoted;
    }
    let mut escaped = String::with_capacity(quoted.len() * 2);
    for character in quoted.chars() {
        if character == '"' || META.contains(&character) {
            escaped.push('^');
        }
        escaped.push(character);
    }
    escaped
}

/// Escapes double quotes by the rules of the C runtime: `\"`, with doubled backslashes before it. With `at_end` a double
/// quote follows the text.
fn escape_quotes(text: &str, at_end: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut backslashes = 0;
    for character in text.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                escaped.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        escaped.push(character);
    }
    if at_end {
        escaped.extend(std::iter::repeat_n('\\', backslashes));
    }
    escaped
}

/// A text in single quotes of PowerShell, which takes typographic quotes for single ones.
pub(crate) fn single_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

/// The command of the user's shell that sets an environment variable for the commands after it.
pub(crate) fn export(name: &str, value: &str) -> String {
    let shell = Shell::of_user(cfg!(windows), |name| std::env::var(name).ok());
    let is_fish = std::env::var("SHELL").is_ok_and(|shell| shell.ends_with("/fish"));
    match shell {
        Shell::Posix if is_fish => format!("set --export {name} {}", word(value)),
        Shell::Posix => format!("export {name}={}", word(value)),
        Shell::Cmd => format!("set {name}={value}"),
        Shell::WindowsPowerShell | Shell::PowerShell => {
            format!("$env:{name} = {}", single_quoted(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shell;

    fn assert_words(shell: Shell, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(shell.word(text), *expected, "{shell:?}: {text}");
        }
    }

    #[test]
    fn word_with_special_characters_is_quoted() {
        let cases = [
            ("-1.5", "-1.5"),
            ("count=3", "count=3"),
            ("@in.json", "@in.json"),
            ("=ls", "'=ls'"),
            ("\"hello\"", "'\"hello\"'"),
            ("\"it's\"", r#"'"it'\''s"'"#),
            ("[1]", "'[1]'"),
            ("a\\b", "'a\\b'"),
            ("", "''"),
        ];
        assert_words(Shell::Posix, &cases);
    }

    #[test]
    fn word_of_the_command_prompt_is_in_double_quotes() {
        let cases = [
            ("-1.5", "-1.5"),
            (r"C:\in.json", r"C:\in.json"),
            ("a b", "\"a b\""),
            ("a & b", "\"a & b\""),
            (r"a b\", r#""a b\\""#),
            ("\"hello\"", r#""\"hello\"""#),
            (r#"{"a":"\\"}"#, r#""{\"a\":\"\\\\\"}""#),
            ("\"a & b\"", r#"^"\^"a ^& b\^"^""#),
            ("100%", "^\"100^%^\""),
            ("", "\"\""),
        ];
        assert_words(Shell::Cmd, &cases);
    }

    #[test]
    fn word_of_powershell_is_in_single_quotes() {
        let cases = [
            ("a b", "'a b'"),
            ("@in.json", "'@in.json'"),
            ("a,b", "'a,b'"),
            ("it's", "'it''s'"),
            ("it\u{2019}s", "'it\u{2019}\u{2019}s'"),
            ("$HOME", "'$HOME'"),
        ];
        assert_words(Shell::PowerShell, &cases);
        assert_words(Shell::WindowsPowerShell, &cases);
        assert_words(Shell::PowerShell, &[("\"a\"", "'\"a\"'"), ("", "''")]);
        let cases = [
            ("\"a\"", r#"'\"a\"'"#),
            (r#"{"a":"\\"}"#, r#"'{\"a\":\"\\\\\"}'"#),
            (r"a b\", r"'a b\\'"),
            ("", r#"'""'"#),
        ];
        assert_words(Shell::WindowsPowerShell, &cases);
    }

    #[test]
    fn shell_is_recognised_by_its_environment() {
        let user = r"C:\Users\ada\Documents\";
        let machine = r"C:\Program Files\WindowsPowerShell\Modules;C:\Windows\system32\WindowsPowerShell\v1.0\Modules";
        let newer =
            format!(r"{user}PowerShell\Modules;C:\Program Files\PowerShell\7\Modules;{machine}");
        let older = format!(r"{user}WindowsPowerShell\Modules;{machine}");
        let of = |is_windows, variables: &[(&str, &str)]| {
            Shell::of_user(is_windows, |name| {
                let found = variables.iter().find(|(found, _)| *found == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(false, &[("PSModulePath", &newer)]), Shell::Posix);
        assert_eq!(of(true, &[]), Shell::Cmd);
        assert_eq!(of(true, &[("PSModulePath", machine)]), Shell::Cmd);
        assert_eq!(of(true, &[("PSModulePath", &newer)]), Shell::PowerShell);
        assert_eq!(
            of(true, &[("PSModulePath", &older)]),
            Shell::WindowsPowerShell
        );
        let bash = [("PSModulePath", machine), ("MSYSTEM", "MINGW64")];
        assert_eq!(of(true, &bash), Shell::Posix);
    }
}
