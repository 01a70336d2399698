//! The positions of a catalog document's elements.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::element::{Examined, Measured};
use crate::Capabilities;

/// The memory that all listed entries of a catalog may take, in bytes. Entries beyond it are not listed.
const MAX_LISTED_WEIGHT: usize = 32 * 1024 * 1024;
/// The number of elements without an agent's name that a write preserves.
const MAX_UNKNOWN_ELEMENTS: usize = 1000;

/// The elements of a document.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The elements that a write preserves, in document order.
    pub(super) elements: Vec<Element>,
    /// The names of agents, one after another.
    names: String,
    /// The first element of each name, sorted by name.
    by_name: Vec<u32>,
    /// The number of elements that cannot be listed, other than repeated names.
    pub(super) invalid: usize,
    /// Whether entries are not listed because the listed ones reach the limit of memory.
    pub(super) is_full: bool,
}

/// An element: positions in the text, and in the names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) start: u32,
    pub(super) end: u32,
    name: u32,
    /// 0 for an element without the name of an agent.
    pub(super) name_len: u16,
    pub(super) is_listed: bool,
    pub(super) capabilities: Capabilities,
}

impl Index {
    /// Indexes the array that is the JSON `text`.
    pub(super) fn read(text: &str) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let index = deserializer.deserialize_seq(Indexing { text })?;
        deserializer.end()?;
        Ok(index)
    }

    /// The first element of agent `name`.
    pub(super) fn find(&self, name: &str) -> Option<&Element> {
        let element = |position: u32| &self.elements[position as usize];
        let found = self
            .by_name
            .binary_search_by(|&position| self.name(element(position)).cmp(name));
        found.ok().map(|found| element(self.by_name[found]))
    }

    /// The first element of each agent, sorted by name.
    pub(super) fn named(&self) -> impl Iterator<Item = &Element> {
        let first = self.by_name.iter();
        first.map(|&position| &self.elements[position as usize])
    }

    pub(super) fn name(&self, element: &Element) -> &str {
        let start = element.name as usize;
        &self.names[start..start + usize::from(element.name_len)]
    }

    /// Finds the first element of each name. The others are not listed.
    fn sort(&mut self) {
        let named = self.elements.iter().zip(0..);
        let named = named.filter(|(element, _)| element.name_len > 0);
        let mut by_name: Vec<u32> = named.map(|(_, position)| position).collect();
        let name = |position: u32| self.name(&self.elements[position as usize]);
        // Stable: elements of one name stay in document order.
        by_name.sort_by(|&one, &other| name(one).cmp(name(other)));
        let mut repeated = Vec::new();
        by_name.dedup_by(|later, first| {
            let is_repeated = name(*later) == name(*first);
            if is_repeated {
                repeated.push(*later);
            }
            is_repeated
        });
        for position in repeated {
            self.elements[position as usize].is_listed = false;
        }
        by_name.shrink_to_fit();
        self.by_name = by_name;
    }
}

/// Indexes the elements of a document's array.
struct Indexing<'t> {
    text: &'t str,
}

impl<'de> Visitor<'de> for Indexing<'de> {
    type Value = Index;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Index, A::Error> {
        let mut index = Index::default();
        let (mut unknown, mut listed_weight) = (0, 0_usize);
        while let Some(raw) = seq.next_element::<&'de RawValue>()? {
            let Examined {
                name,
                has_valid_name,
                mut entry,
            } = Examined::new(raw.get());
            if let Some(Measured { weight, .. }) = entry {
                listed_weight = listed_weight.saturating_add(weight);
                if listed_weight > MAX_LISTED_WEIGHT {
                    index.is_full = true;
                    entry = None;
                }
            }
            index.invalid += usize::from(entry.is_none());
            if !has_valid_name {
                unknown += 1;
                if unknown > MAX_UNKNOWN_ELEMENTS {
                    continue;
                }
            }
            let name = name.filter(|_| has_valid_name).unwrap_or_default();
            let element = position(self.text, raw.get())
                .and_then(|text| index.element(text, &name, entry.as_ref()));
            let Some(element) = element else {
                return Err(A::Error::custom("too many names"));
            };
            index.names.push_str(&name);
            index.elements.push(element);
        }
        index.sort();
        index.elements.shrink_to_fit();
        index.names.shrink_to_fit();
        Ok(index)
    }
}

impl Index {
    fn element(&self, text: Range<usize>, name: &str, entry: Option<&Measured>) -> Option<Element> {
        Some(Element {
            start: u32::try_from(text.start).ok()?,
            end: u32::try_from(text.end).ok()?,
            name: u32::try_from(self.names.len()).ok()?,
            name_len: u16::try_from(name.len()).ok()?,
            is_listed: entry.is_some(),
            capabilities: entry.map_or_else(Capabilities::default, |entry| entry.capabilities),
        })
    }
}

/// The position of `part`, which is borrowed from `text`.
fn position(text: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= text.len()).then_some(start..end)
}
