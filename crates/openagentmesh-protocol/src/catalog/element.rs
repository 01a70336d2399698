//! One element of the catalog, examined without keeping its values.

use std::borrow::Cow;
use std::fmt;

use openagentmesh_name::AgentName;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry::full_name;
use crate::Capabilities;
use crate::lenient::{Text, TextVisitor};

/// The weight of an entry, in bytes, up to which the entry is listed.
const MAX_ENTRY_WEIGHT: usize = 1024 * 1024;
/// The memory that an entry takes in addition to its text: the structure, and the overhead of allocations.
const ENTRY_OVERHEAD: usize = 256;
/// The memory that a tag takes in addition to its text.
const TAG_OVERHEAD: usize = 48;
/// The memory that a value of an unknown field takes in addition to its text.
const VALUE_OVERHEAD: usize = 160;

/// The properties of one element.
pub(super) struct Examined {
    /// The full name, if the element has one.
    pub(super) name: Option<String>,
    /// Whether the name is that of an agent.
    pub(super) has_valid_name: bool,
    /// The weight and the capabilities; `None` for an element that this version does not understand, or that is too
    /// large.
    pub(super) entry: Option<Measured>,
}

/// An element that can be read as a [`CatalogEntry`](super::CatalogEntry).
pub(super) struct Measured {
    pub(super) capabilities: Capabilities,
    /// Upper bound of the memory that the entry takes, in bytes.
    pub(super) weight: usize,
}

/// The fields of an entry that make up its full name.
#[derive(Deserialize)]
pub(super) struct EntryName {
    pub(super) name: String,
    #[serde(default)]
    pub(super) channel: Option<String>,
}

impl EntryName {
    /// The full name in the JSON `text` of an element. Other fields are ignored, however deep they are.
    pub(super) fn read(text: &str) -> Option<String> {
        let entry: Self = serde_json::from_str(text).ok()?;
        Some(full_name(entry.channel.as_deref(), entry.name))
    }
}

impl Examined {
    pub(super) fn new(text: &str) -> Self {
        if !text.starts_with('{') {
            return Self::nameless();
        }
        let (name, entry) = match serde_json::from_str::<Head<'_>>(text) {
            Ok(head) => {
                let Some(name) = head.full_name() else {
                    return Self::nameless();
                };
                (name, head.measured(text))
            }
            // A field may be nested too deep. The name is readable nevertheless.
            Err(_) => match EntryName::read(text) {
                Some(name) => (name, None),
                None => return Self::nameless(),
            },
        };
        let has_valid_name = AgentName::new(name.as_str()).is_ok();
        Self {
            name: Some(name),
            has_valid_name,
            entry: entry.filter(|_| has_valid_name),
        }
    }

    fn nameless() -> Self {
        Self {
            name: None,
            has_valid_name: false,
            entry: None,
        }
    }
}

/// The fields of an entry, as far as listing the entry needs them.
#[derive(Default)]
struct Head<'t> {
    name: Option<Text<'t>>,
    channel: Option<Text<'t>>,
    description: Option<Kind>,
    version: Option<Kind>,
    tags: Option<Kind>,
    invocable: Option<Kind>,
    streaming: Option<Kind>,
    /// The number of values in unknown fields, the fields included.
    unknown_values: usize,
}

impl Head<'_> {
    fn full_name(&self) -> Option<String> {
        let Some(Text::Value(name)) = &self.name else {
            return None;
        };
        let channel = match &self.channel {
            None | Some(Text::Null) => None,
            Some(Text::Value(channel)) => Some(&**channel),
            Some(Text::Other) => return None,
        };
        Some(full_name(channel, name.clone().into_owned()))
    }

    /// `None` if a field has another type than that of an entry, or if the entry is too large.
    fn measured(&self, text: &str) -> Option<Measured> {
        let is_text = |kind: &Option<Kind>| matches!(kind, None | Some(Kind::Null | Kind::Text));
        let flag = |kind: &Option<Kind>, default| match kind {
            None | Some(Kind::Null) => Some(default),
            Some(Kind::Bool(flag)) => Some(*flag),
            Some(_) => None,
        };
        let tags = match &self.tags {
            None | Some(Kind::Null) => 0,
            Some(Kind::Texts(count)) => *count,
            Some(_) => return None,
        };
        let weight = text
            .len()
            .saturating_add(ENTRY_OVERHEAD)
            .saturating_add(tags.saturating_mul(TAG_OVERHEAD))
            .saturating_add(self.unknown_values.saturating_mul(VALUE_OVERHEAD));
        if !is_text(&self.description) || !is_text(&self.version) || weight > MAX_ENTRY_WEIGHT {
            return None;
        }
        let capabilities = Capabilities {
            invocable: flag(&self.invocable, true)?,
            streaming: flag(&self.streaming, false)?,
        };
        Some(Measured {
            capabilities,
            weight,
        })
    }
}

impl<'de: 't, 't> Deserialize<'de> for Head<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut head = Head::default();
        while let Some(Key(key)) = map.next_key()? {
            // A repeated field is an error, as when an entry is read.
            let kind = match &*key {
                "name" => {
                    once(&mut head.name, map.next_value()?)?;
                    continue;
                }
                "channel" => {
                    once(&mut head.channel, map.next_value()?)?;
                    continue;
                }
                "description" => &mut head.description,
                "version" => &mut head.version,
                "tags" => &mut head.tags,
                "invocable" => &mut head.invocable,
                "streaming" => &mut head.streaming,
                _ => {
                    let Seen { values, .. } = map.next_value()?;
                    head.unknown_values = head.unknown_values.saturating_add(values);
                    continue;
                }
            };
            let Seen { kind: seen, .. } = map.next_value()?;
            once(kind, seen)?;
        }
        Ok(head)
    }
}

fn once<T, E: Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("duplicate field")),
    }
}

/// A field's name.
struct Key<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Key<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(TextVisitor)? {
            Text::Value(key) => Ok(Self(key)),
            Text::Null | Text::Other => Err(D::Error::custom("a field without a name")),
        }
    }
}

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool(bool),
    Text,
    /// An array that has only texts.
    Texts(usize),
    Other,
}

/// A value that was read and not kept.
struct Seen {
    kind: Kind,
    /// The number of values in it, itself included.
    values: usize,
}

impl Seen {
    fn one<E>(kind: Kind) -> Result<Self, E> {
        Ok(Self { kind, values: 1 })
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SeenVisitor)
    }
}

struct SeenVisitor;

impl<'de> Visitor<'de> for SeenVisitor {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Seen::one(Kind::Text)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Seen::one(Kind::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Seen, E> {
        Seen::one(Kind::Bool(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Seen::one(Kind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Seen::one(Kind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Seen::one(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Seen, A::Error> {
        let (mut values, mut texts, mut is_texts) = (1_usize, 0_usize, true);
        while let Some(element) = seq.next_element::<Seen>()? {
            values = values.saturating_add(element.values);
            texts += 1;
            is_texts &= element.kind == Kind::Text;
        }
        let kind = if is_texts {
            Kind::Texts(texts)
        } else {
            Kind::Other
        };
        Ok(Seen { kind, values })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let mut values = 1_usize;
        while let Some((IgnoredAny, value)) = map.next_entry::<IgnoredAny, Seen>()? {
            values = values.saturating_add(value.values);
        }
        Ok(Seen {
            kind: Kind::Other,
            values,
        })
    }
}
