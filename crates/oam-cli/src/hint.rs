//! The hint of a failure, for the command as it was typed.

use std::ffi::OsString;

use openagentmesh::ErrorCode;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::similar;

/// The hint of a timeout.
const TIMEOUT_HINT: &str = "--timeout TIME waits longer";

/// The failure with a hint that fits the command as it was `typed`: the command with the name that was meant, or the option
/// that it has for more time.
pub(crate) fn adapted(mut failure: Failure, typed: &[OsString]) -> Failure {
    if let Some(command) = corrected(&failure, typed) {
        failure.hint = Some(command);
    } else if failure.code == Some(ErrorCode::Timeout)
        && failure.hint.is_none()
        && has_option(typed, "timeout")
    {
        failure.hint = Some(TIMEOUT_HINT.to_owned());
    }
    failure
}

/// The command with the most similar name in place of the one that was not found.
fn corrected(failure: &Failure, typed: &[OsString]) -> Option<String> {
    let similar = failure.details.get("similar")?.as_array()?;
    let best = similar.first().and_then(Value::as_str)?;
    similar::command(typed, failure.missing.as_deref()?, best)
}

/// Whether the command has the option `--id`.
fn has_option(typed: &[OsString], id: &str) -> bool {
    let mut command = crate::cli::Cli::definitions();
    for word in typed.iter().skip(1) {
        let found = word.to_str().and_then(|word| command.find_subcommand(word));
        if let Some(found) = found.cloned() {
            command = found;
        }
    }
    command
        .get_arguments()
        .any(|argument| argument.get_id() == id)
}

/// The failure of the lookup of `missing`, with the `similar` names.
pub(crate) fn with_similar(mut failure: Failure, missing: &str, similar: Vec<String>) -> Failure {
    failure.missing = Some(missing.to_owned());
    if !similar.is_empty() {
        let listed = similar.join("', '");
        failure
            .message
            .push_str(&format!("; similar names: '{listed}'"));
        failure.details.insert("similar".to_owned(), json!(similar));
    }
    failure
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn typed(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn timeout_names_the_option_only_where_the_command_has_it() {
        for (line, hint) in [
            ("oam agent call echo", Some(TIMEOUT_HINT)),
            ("oam mesh listen a", Some(TIMEOUT_HINT)),
            ("oam kv get a", None),
            ("oam mesh catalog", None),
        ] {
            let failure = Failure::mesh(ErrorCode::Timeout, "no reply");
            let failure = adapted(failure, &typed(line));
            assert_eq!(failure.hint.as_deref(), hint, "{line}");
        }
    }

    #[test]
    fn similar_name_becomes_a_command() {
        let failure =
            Failure::mesh(ErrorCode::NotFound, "key 'a' has no value").hint("oam kv list");
        let failure = with_similar(failure, "a.b", vec!["a.c".to_owned(), "a.d".to_owned()]);
        let failure = adapted(failure, &typed("oam kv get a.b --json"));
        assert_eq!(failure.hint.as_deref(), Some("oam kv get a.c --json"));
        assert_eq!(
            failure.message,
            "key 'a' has no value; similar names: 'a.c', 'a.d'"
        );
    }
}
