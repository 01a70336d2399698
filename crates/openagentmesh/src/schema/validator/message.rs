//! What a problem is called.

use std::fmt::Display;

use serde_json::{Number, Value};

use super::rule::{Range, Size, Types};

/// Longer values are cut off.
const SHOWN: usize = 100;

/// `value` as JSON, as far as it is short enough to be read.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

pub(super) fn types(value: &Value, types: Types) -> String {
    let names: Vec<String> = types.names().map(|name| format!("\"{name}\"")).collect();
    let types = if names.len() == 1 { "type" } else { "types" };
    format!("{} is not of {types} {}", shown(value), names.join(", "))
}

pub(super) fn none_of(value: &Value, candidates: &[Value]) -> String {
    const LISTED: usize = 10;
    let mut listed: Vec<String> = candidates.iter().take(LISTED).map(shown).collect();
    let last = match candidates.len().saturating_sub(LISTED) {
        0 => listed.pop().unwrap_or_else(|| "nothing".to_owned()),
        more => format!("{more} others"),
    };
    let value = shown(value);
    match listed.is_empty() {
        true => format!("{value} is not {last}"),
        false => format!("{value} is not one of {} or {last}", listed.join(", ")),
    }
}

pub(super) fn range(value: &Value, range: Range, limit: &Number) -> String {
    let value = shown(value);
    match range {
        Range::Minimum => format!("{value} is less than the minimum of {limit}"),
        Range::ExclusiveMinimum => {
            format!("{value} is less than or equal to the minimum of {limit}")
        }
        Range::Maximum => format!("{value} is greater than the maximum of {limit}"),
        Range::ExclusiveMaximum => {
            format!("{value} is greater than or equal to the maximum of {limit}")
        }
    }
}

pub(super) fn size(value: &Value, size: Size, limit: u64) -> String {
    let (comparison, one, many) = match size {
        Size::MinLength => ("is shorter than", "character", "characters"),
        Size::MaxLength => ("is longer than", "character", "characters"),
        Size::MinItems => ("has less than", "item", "items"),
        Size::MaxItems => ("has more than", "item", "items"),
        Size::MinProperties => ("has less than", "property", "properties"),
        Size::MaxProperties => ("has more than", "property", "properties"),
    };
    let unit = if limit == 1 { one } else { many };
    format!("{} {comparison} {limit} {unit}", shown(value))
}

/// What stands where nothing may.
pub(super) fn unexpected(what: &str, found: &[impl Display]) -> String {
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    let were = if names.len() == 1 { "was" } else { "were" };
    format!(
        "{what} are not allowed ({} {were} unexpected)",
        names.join(", ")
    )
}
