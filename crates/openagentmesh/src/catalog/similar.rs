//! Names that are similar to one that was not found.

use openagentmesh_protocol::AgentName;

/// The number of names that are suggested, at most.
const MAX_SUGGESTIONS: usize = 3;
/// The number of names of the catalog that are compared, at most.
const MAX_COMPARED_NAMES: usize = 10_000;
/// The length up to which names are compared by their edit distance, in bytes.
const MAX_COMPARED_BYTES: usize = 64;
/// The largest edit distance of similar names.
const MAX_DISTANCE: usize = 3;

/// Those of `names` that are most similar to `name`, best first.
///
/// Similar are names that differ in case only, names with the same last segment, and names with a small
/// edit distance. Texts that are not agent names are ignored.
pub(crate) fn similar<'a>(name: &AgentName, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = Wanted::new(name.as_str());
    let mut similar: Vec<(usize, &str)> = names
        .take(MAX_COMPARED_NAMES)
        .filter_map(|candidate| Some((wanted.rank(candidate)?, candidate)))
        .filter(|(_, candidate)| AgentName::new(*candidate).is_ok())
        .collect();
    similar.sort_unstable();
    similar.dedup();
    similar.truncate(MAX_SUGGESTIONS);
    similar.into_iter().map(|(_, name)| name).collect()
}

/// A name that was not found, in lower case.
struct Wanted {
    full: String,
    /// Whether the name has several segments.
    has_channel: bool,
}

impl Wanted {
    fn new(name: &str) -> Self {
        Self {
            full: name.to_ascii_lowercase(),
            has_channel: name.contains('.'),
        }
    }

    /// The rank of a similar name, 0 for the best; `None` for a name that is not similar.
    fn rank(&self, candidate: &str) -> Option<usize> {
        let candidate = candidate.to_ascii_lowercase();
        if candidate == self.full {
            return Some(0);
        }
        let by_distance = distance(&self.full, &candidate).map(|distance| 2 * distance);
        let (wanted, local) = (last_segment(&self.full), last_segment(&candidate));
        // A channel that differs ranks after one wrong letter.
        let by_local = if wanted == local {
            Some(3)
        } else if self.has_channel {
            None
        } else {
            distance(wanted, local).map(|distance| 2 * distance + 1)
        };
        by_distance.into_iter().chain(by_local).min()
    }
}

fn last_segment(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// The number of letters to insert, delete, replace or swap with their neighbour; `None` if the texts are
/// too long, or too different for their length.
fn distance(one: &str, other: &str) -> Option<usize> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let longest = one.len().max(other.len());
    let limit = (longest / 3).clamp(1, MAX_DISTANCE);
    if longest > MAX_COMPARED_BYTES || one.len().abs_diff(other.len()) > limit {
        return None;
    }
    let mut before_previous = Vec::new();
    let mut previous: Vec<usize> = (0..=other.len()).collect();
    for (i, &a) in one.iter().enumerate() {
        let mut current = Vec::with_capacity(previous.len());
        current.push(i + 1);
        for (j, &b) in other.iter().enumerate() {
            let replaced = previous[j] + usize::from(a != b);
            let mut best = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && a == other[j - 1] && one[i - 1] == b {
                let swapped: &[usize] = &before_previous;
                best = best.min(swapped[j - 1] + 1);
            }
            current.push(best);
        }
        if current.iter().all(|&distance| distance > limit) {
            return None;
        }
        before_previous = std::mem::replace(&mut previous, current);
    }
    previous.pop().filter(|&distance| distance <= limit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn suggested<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
        similar(&AgentName::new(name).unwrap(), names.iter().copied())
    }

    #[test]
    fn name_with_a_typo_is_similar() {
        let names = ["shop.price", "shop.order", "weather"];
        for typo in [
            "shop.prise",
            "shop.pirce",
            "shop.pric",
            "shop.prices",
            "shpo.price",
        ] {
            assert_eq!(suggested(typo, &names), ["shop.price"], "{typo}");
        }
        assert_eq!(suggested("wether", &names), ["weather"]);
    }

    #[test]
    fn name_in_another_case_or_channel_is_similar() {
        let names = ["shop.price", "shop.order"];
        for name in ["Shop.Price", "price", "store.price", "prise"] {
            assert_eq!(suggested(name, &names), ["shop.price"], "{name}");
        }
    }

    #[test]
    fn different_name_has_no_suggestion() {
        let names = ["shop.price", "shop.order", "a"];
        for name in ["ghost", "b.c", "shop.refund", "shop"] {
            assert_eq!(suggested(name, &names), [""; 0], "{name}");
        }
    }

    #[test]
    fn suggestions_are_the_best_three_agent_names() {
        let names = ["ping5", "ping3", "Ping", "ping\u{202e}", "ping 1", "ping2"];
        assert_eq!(suggested("ping", &names), ["Ping", "ping2", "ping3"]);
    }

    #[test]
    fn long_names_are_compared_within_a_limit() {
        let long = "a".repeat(512);
        let names = vec![long.as_str(); 20_000];
        assert_eq!(suggested(&"a".repeat(511), &names), [""; 0]);
    }
}
