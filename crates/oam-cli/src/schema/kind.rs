//! The type of a value in words.

use std::io::{self, Write};

use serde_json::Value;

use super::node::{Node, Root, Type};
use super::number::Range;
use crate::text::{on_one_line, truncated};

/// A longer text of a type, a constant or a default is truncated.
pub(super) const MAX_CHARS: usize = 100;

/// Levels of arrays and alternatives in one text.
const MAX_DEPTH: usize = 5;

/// Alternatives and constants that are listed.
const MAX_LISTED: usize = 50;

/// The type of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kind {
    /// The values, if there are only these.
    pub(super) constants: Vec<String>,
    /// The other alternatives.
    names: Vec<String>,
    is_nullable: bool,
}

impl Kind {
    pub(super) fn of(root: &Root<'_>, node: &Node<'_>) -> Self {
        let mut kind = Self::default();
        kind.read(root, node, 0);
        kind
    }

    fn named(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            ..Self::default()
        }
    }

    /// The type of a value that is of this type or of the `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.is_nullable |= other.is_nullable;
        other
            .constants
            .into_iter()
            .for_each(|constant| add(&mut self.constants, constant));
        other
            .names
            .into_iter()
            .for_each(|name| add(&mut self.names, name));
    }

    /// Whether nothing is known of the value.
    fn is_any(&self) -> bool {
        *self == Self::default()
    }

    fn read(&mut self, root: &Root<'_>, node: &Node<'_>, depth: usize) {
        if node.is_never {
            return self.merge(Self::named("no value"));
        }
        if let Some(value) = node.get("const") {
            return self.constant(value);
        }
        if let Some(Value::Array(values)) = node.get("enum") {
            return values
                .iter()
                .take(MAX_LISTED)
                .for_each(|value| self.constant(value));
        }
        if depth < MAX_DEPTH
            && let Some(alternatives) = node.unions.first()
        {
            let mut union = Self::default();
            for alternative in alternatives.iter().take(MAX_LISTED) {
                if !root.charge(1) {
                    break;
                }
                union.read(root, &root.node(&[alternative]), depth + 1);
            }
            // The alternatives may only restrict what the rest says.
            if !union.is_any() && node.types().is_empty() {
                return self.merge(union);
            }
        }
        for of_type in node.types() {
            let name = match of_type {
                Type::Null => {
                    self.is_nullable = true;
                    continue;
                }
                Type::Boolean => "boolean".to_owned(),
                Type::Integer => Range::of(node).in_words("integer"),
                Type::Number => Range::of(node).in_words("number"),
                Type::String => string(node),
                Type::Array => array(root, node, depth),
                Type::Object => object(root, node, depth),
            };
            add(&mut self.names, name);
        }
        if self.is_any() && node.is_foreign {
            self.merge(Self::named("defined in another document"));
        }
    }

    fn constant(&mut self, value: &Value) {
        match value {
            Value::Null => self.is_nullable = true,
            value => add(&mut self.constants, constant(value)),
        }
    }

    /// The text, as in "one of a|b or null".
    pub(super) fn in_words(&self) -> String {
        let mut parts = Vec::new();
        match self.constants.as_slice() {
            [] => {}
            [one] if self.names.is_empty() && !self.is_nullable => return format!("always {one}"),
            [one] => parts.push(one.clone()),
            several => parts.push(format!("one of {}", several.join("|"))),
        }
        parts.extend(self.names.iter().cloned());
        if self.is_nullable {
            parts.push("null".to_owned());
        }
        match parts.is_empty() {
            true => "any value".to_owned(),
            false => short(&parts.join(" or ")),
        }
    }
}

fn add(list: &mut Vec<String>, text: String) {
    if list.len() < MAX_LISTED && !list.contains(&text) {
        list.push(text);
    }
}

fn string(node: &Node<'_>) -> String {
    let mut text = "string".to_owned();
    if let Some(format) = node.text("format") {
        text.push_str(&format!(", {}", short(format)));
    }
    if let Some(length) = length(node, "minLength", "maxLength", "character") {
        text.push_str(&format!(", {length}"));
    }
    if let Some(pattern) = node.text("pattern") {
        text.push_str(&format!(", matches {}", short(pattern)));
    }
    text
}

fn array(root: &Root<'_>, node: &Node<'_>, depth: usize) -> String {
    let item = |schemas: &[&Value]| -> Option<String> {
        if depth >= MAX_DEPTH || !root.charge(1) {
            return None;
        }
        let mut kind = Kind::default();
        kind.read(root, &root.node(schemas), depth + 1);
        (!kind.is_any()).then(|| kind.in_words())
    };
    let prefix = node.prefix();
    let mut text = if prefix.is_empty() {
        match item(&node.items()) {
            Some(item) => format!("array of {item}"),
            None => "array".to_owned(),
        }
    } else {
        let items = prefix.iter().take(MAX_LISTED);
        let items: Vec<_> = items
            .map(|schema| item(&[schema]).unwrap_or_else(|| "any value".to_owned()))
            .collect();
        return format!("array [{}]", items.join(", "));
    };
    if let Some(length) = length(node, "minItems", "maxItems", "item") {
        text.push_str(&format!(", {length}"));
    }
    if node.get("uniqueItems") == Some(&Value::Bool(true)) {
        text.push_str(", all different");
    }
    text
}

fn object(root: &Root<'_>, node: &Node<'_>, depth: usize) -> String {
    let others = node.others();
    if others.is_empty()
        || node.get("properties").is_some()
        || depth >= MAX_DEPTH
        || !root.charge(1)
    {
        return "object".to_owned();
    }
    let mut kind = Kind::default();
    kind.read(root, &root.node(&others), depth + 1);
    match kind.is_any() {
        true => "object".to_owned(),
        false => format!("object of {}", kind.in_words()),
    }
}

/// The limits of a length, as in "3–20 characters".
fn length(node: &Node<'_>, min: &str, max: &str, unit: &str) -> Option<String> {
    let s = |count: u64| if count == 1 { "" } else { "s" };
    Some(match (node.at_least(min), node.at_most(max)) {
        (0, None) => return None,
        (least, None) => format!("{least}+ {unit}s"),
        (least, Some(most)) if least == most => format!("{most} {unit}{}", s(most)),
        (0, Some(most)) => format!("up to {most} {unit}{}", s(most)),
        (least, Some(most)) => format!("{least}–{most} {unit}s"),
    })
}

/// A constant: a text without quotes, if it cannot be read as anything else.
fn constant(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => short(text),
        value => json(value),
    }
}

fn is_plain(text: &str) -> bool {
    let is_other = matches!(text, "true" | "false" | "null") || text.parse::<f64>().is_ok();
    let is_word =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '+' | '#');
    !text.is_empty() && !is_other && text.chars().take(MAX_CHARS).all(is_word)
}

/// A value as JSON on one line, truncated.
pub(super) fn json(value: &Value) -> String {
    let mut start = Start(Vec::new());
    // Writing ends with an error once the start is complete.
    drop(serde_json::to_writer(&mut start, value));
    short(&String::from_utf8_lossy(&start.0))
}

/// A text of the mesh on one line: white space is one space, and long texts are truncated.
pub(super) fn short(text: &str) -> String {
    one_line(text, MAX_CHARS)
}

/// As [`short`], with up to `max_chars` characters.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    // White space is skipped, so that more characters may be needed.
    let start: String = text.chars().take(2 * max_chars).collect();
    let words: Vec<&str> = start.split_whitespace().collect();
    truncated(on_one_line(&words.join(" ")), max_chars)
}

/// The first bytes of an output.
struct Start(Vec<u8>);

impl Write for Start {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() > 4 * MAX_CHARS {
            return Err(io::Error::other("the start is complete"));
        }
        self.0.extend(bytes.iter().take(8 * MAX_CHARS));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
