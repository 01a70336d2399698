//! A JSON object that is built from its leaves, which keep their digits.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// A step from a value to one of its members or elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Element(usize),
    /// The element after the last one.
    Append,
}

/// The value of an object or of a part of it; `None` until a leaf is set.
#[derive(Debug, Default)]
pub(super) struct Tree(Option<Part>);

#[derive(Debug)]
enum Part {
    Leaf(Box<RawValue>),
    Object(Vec<(String, Tree)>),
    Array(BTreeMap<usize, Tree>),
}

impl Tree {
    /// Sets the leaf at the end of `path`.
    ///
    /// # Errors
    ///
    /// The reason, if the place has a value already.
    pub(super) fn set(&mut self, path: &[Step], leaf: Box<RawValue>) -> Result<(), &'static str> {
        const TWO_KINDS: &str = "an earlier argument gives another kind of value";

        let Some((step, rest)) = path.split_first() else {
            if self.0.is_some() {
                return Err("an earlier argument gives its value");
            }
            self.0 = Some(Part::Leaf(leaf));
            return Ok(());
        };
        let part = match step {
            Step::Member(name) => {
                let Part::Object(members) = self.0.get_or_insert(Part::Object(Vec::new())) else {
                    return Err(TWO_KINDS);
                };
                let found = members.iter().position(|(member, _)| member == name);
                let index = found.unwrap_or_else(|| {
                    members.push((name.clone(), Self::default()));
                    members.len() - 1
                });
                &mut members[index].1
            }
            Step::Element(_) | Step::Append => {
                let Part::Array(elements) = self.0.get_or_insert(Part::Array(BTreeMap::new()))
                else {
                    return Err(TWO_KINDS);
                };
                let next = elements.last_key_value().map_or(0, |(last, _)| last + 1);
                let index = match step {
                    Step::Element(index) => *index,
                    _ => next,
                };
                elements.entry(index).or_default()
            }
        };
        part.set(rest, leaf)
    }

    /// The value as JSON.
    ///
    /// # Errors
    ///
    /// The place of an element that is missing before another one.
    pub(super) fn to_json(&self) -> Result<String, String> {
        let mut json = String::new();
        self.write(&mut json, "")?;
        Ok(json)
    }

    fn write(&self, json: &mut String, place: &str) -> Result<(), String> {
        match &self.0 {
            None => json.push_str("null"),
            Some(Part::Leaf(leaf)) => json.push_str(leaf.get()),
            Some(Part::Object(members)) => {
                json.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    json.push_str(&Value::from(name.as_str()).to_string());
                    json.push(':');
                    let dot = if place.is_empty() { "" } else { "." };
                    member.write(json, &format!("{place}{dot}{name}"))?;
                }
                json.push('}');
            }
            Some(Part::Array(elements)) => {
                json.push('[');
                for (expected, (index, element)) in elements.iter().enumerate() {
                    if *index != expected {
                        return Err(format!("{place}[{expected}]"));
                    }
                    if expected > 0 {
                        json.push(',');
                    }
                    element.write(json, &format!("{place}[{expected}]"))?;
                }
                json.push(']');
            }
        }
        Ok(())
    }
}
