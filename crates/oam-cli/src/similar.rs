//! Names that are similar to one that was not found, and the command that has the right one.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::time::Duration;

use openagentmesh::Error;
use openagentmesh::protocol::name::is_visible;
use strsim::osa_distance;

use crate::shell;

/// The limit of the wait for the names that are compared: the command has failed already.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// Names that are suggested.
const MAX_SUGGESTIONS: usize = 3;

/// Names that are compared.
const MAX_COMPARED: usize = 10_000;

/// A longer name is not compared.
const MAX_COMPARED_CHARS: usize = 64;

/// The largest edit distance of similar names.
const MAX_DISTANCE: usize = 3;

/// A shorter beginning is not a suggestion.
const MIN_PREFIX_CHARS: usize = 3;

/// A longer command is not suggested whole.
const MAX_COMMAND_CHARS: usize = 300;

/// Those of `names` that are most similar to `name`, best first: by their edit distance, in another case, with the same last
/// part after `.` or `/`, or with `name` as their beginning. A name with invisible characters is left out: no command has it.
pub(crate) fn similar<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    if name.chars().count() > MAX_COMPARED_CHARS {
        return Vec::new();
    }
    let wanted = name.to_lowercase();
    let mut similar: Vec<(usize, Reverse<usize>, &str)> = names
        .into_iter()
        .take(MAX_COMPARED)
        .filter(|candidate| *candidate != name && candidate.chars().all(is_visible))
        .filter_map(|candidate| {
            Some((
                rank(&wanted, candidate)?,
                Reverse(common_start(name, candidate)),
                candidate,
            ))
        })
        .collect();
    similar.sort_unstable();
    similar.dedup();
    similar.truncate(MAX_SUGGESTIONS);
    similar
        .into_iter()
        .map(|(_, _, name)| name.to_owned())
        .collect()
}

/// The names that `listing` finds and that are similar to `name`. None if the names cannot be listed in time, or must not
/// be listed: the error that follows is about `name`.
pub(crate) async fn among(
    name: &str,
    listing: impl IntoFuture<Output = Result<Vec<String>, Error>>,
) -> Vec<String> {
    match tokio::time::timeout(LIST_TIMEOUT, listing.into_future()).await {
        Ok(Ok(names)) => similar(name, names.iter().map(String::as_str)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "names for a suggestion cannot be listed");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!("names for a suggestion were not listed in time");
            Vec::new()
        }
    }
}

/// The command as it was `typed`, with `right` in place of `wrong`, quoted for a shell. A password in a URL is not
/// repeated, nor is a long input: `…` stands for the rest then.
pub(crate) fn command(typed: &[OsString], wrong: &str, right: &str) -> Option<String> {
    let words: Vec<&str> = typed
        .iter()
        .skip(1)
        .map(|word| word.to_str())
        .collect::<Option<_>>()?;
    let place = words.iter().position(|word| *word == wrong)?;
    let has_password = |word: &&str| word.contains("://") && word.contains('@');
    let corrected = |words: &[&str]| {
        let words = words.iter().enumerate().map(|(index, word)| {
            shell::word(if index == place { right } else { word }).into_owned()
        });
        let words: Vec<String> = words.collect();
        format!("oam {}", words.join(" "))
    };
    let whole = corrected(&words);
    let is_short = whole.chars().count() <= MAX_COMMAND_CHARS && !whole.contains('\n');
    if is_short && !words.iter().any(has_password) {
        return Some(whole);
    }
    let start = words.get(..=place)?;
    if start.iter().any(has_password) || start.len() > 4 {
        return None;
    }
    Some(format!("{} …", corrected(start)))
}

/// 0 for the best; `None` for a name that is not similar.
fn rank(wanted: &str, candidate: &str) -> Option<usize> {
    if candidate.len() > 4 * MAX_COMPARED_CHARS {
        return None;
    }
    let candidate = candidate.to_lowercase();
    if candidate == wanted {
        return Some(0);
    }
    let by_distance = distance(wanted, &candidate).map(|distance| 2 * distance);
    let by_last_part = (last_part(wanted) == last_part(&candidate)).then_some(3);
    let is_start = wanted.chars().count() >= MIN_PREFIX_CHARS && candidate.starts_with(wanted);
    let by_start = is_start.then_some(5);
    by_distance
        .into_iter()
        .chain(by_last_part)
        .chain(by_start)
        .min()
}

fn last_part(name: &str) -> &str {
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

/// The number of characters to insert, delete, replace or swap; `None` if these are many for the length.
fn distance(one: &str, other: &str) -> Option<usize> {
    let (length, other_length) = (one.chars().count(), other.chars().count());
    let longest = length.max(other_length);
    let limit = (longest / 3).clamp(1, MAX_DISTANCE);
    if longest > MAX_COMPARED_CHARS || length.abs_diff(other_length) > limit {
        return None;
    }
    Some(osa_distance(one, other)).filter(|distance| *distance <= limit)
}

/// The characters with which both begin.
fn common_start(one: &str, other: &str) -> usize {
    one.chars()
        .zip(other.chars())
        .take_while(|(a, b)| a == b)
        .count()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{command, similar};

    fn typed(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn name_with_a_typo_is_similar() {
        let names = ["limits.retries", "limits.timeout", "reports/2026.pdf"];
        for (typo, expected) in [
            ("limits.retires", "limits.retries"),
            ("limit.retries", "limits.retries"),
            ("Limits.Retries", "limits.retries"),
            ("retries", "limits.retries"),
            ("limits.ret", "limits.retries"),
            ("2026.pdf", "reports/2026.pdf"),
            ("report/2026.pdf", "reports/2026.pdf"),
        ] {
            assert_eq!(similar(typo, names), [expected], "{typo}");
        }
    }

    #[test]
    fn different_or_long_name_has_no_suggestion() {
        let long = "a".repeat(100_000);
        assert_eq!(similar("ghost", ["shop", "a", &long]), [""; 0]);
        assert_eq!(similar("ab", ["abc.def.ghi"]), [""; 0]);
        assert_eq!(similar(&long, [&long[1..]]), [""; 0]);
    }

    #[test]
    fn three_best_names_are_suggested() {
        assert_eq!(
            similar("ping", ["ping5", "ping3", "Ping", "ping2", "ping3"]),
            ["Ping", "ping2", "ping3"]
        );
    }

    #[test]
    fn command_has_the_right_name_and_is_quoted() {
        let typed = typed(&[
            "/usr/bin/oam",
            "agent",
            "call",
            "shop.prise",
            "{\"sku\": \"a b\"}",
        ]);
        let expected = r#"oam agent call shop.price '{"sku": "a b"}'"#;
        assert_eq!(
            command(&typed, "shop.prise", "shop.price").as_deref(),
            Some(expected)
        );
        assert_eq!(command(&typed, "other", "shop.price"), None);
    }

    #[test]
    fn command_without_passwords_and_long_inputs_is_its_start() {
        let url = ["oam", "kv", "get", "limts", "--url", "nats://user:pw@host"];
        assert_eq!(
            command(&typed(&url), "limts", "limits").as_deref(),
            Some("oam kv get limits …")
        );
        let first = ["oam", "--url", "nats://user:pw@host", "kv", "get", "limts"];
        assert_eq!(command(&typed(&first), "limts", "limits"), None);
        let long = "1".repeat(1_000);
        let input = ["oam", "agent", "call", "eco", &long];
        assert_eq!(
            command(&typed(&input), "eco", "echo").as_deref(),
            Some("oam agent call echo …")
        );
    }
}
