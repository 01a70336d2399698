//! Schemas with their references followed and their `allOf` parts collected.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::{Map, Value};

/// Parts of a schema that are looked at for one value, keywords of each included.
const MAX_STEPS: usize = 100_000;

/// Parts that describe the same value.
const MAX_PARTS: usize = 100;

/// The JSON types, in the order in which an example prefers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Null,
}

impl Type {
    fn named(name: &Value) -> Option<Self> {
        Some(match name.as_str()? {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "null" => Self::Null,
            _ => return None,
        })
    }

    fn includes(self, other: Self) -> bool {
        self == other || (self == Self::Number && other == Self::Integer)
    }
}

/// The schema to which references lead, and the steps that may still be taken.
pub(super) struct Root<'s> {
    schema: &'s Value,
    steps: Cell<usize>,
}

impl<'s> Root<'s> {
    pub(super) fn new(schema: &'s Value) -> Self {
        Self {
            schema,
            steps: Cell::new(MAX_STEPS),
        }
    }

    /// Takes `steps`; false if fewer are left.
    pub(super) fn charge(&self, steps: usize) -> bool {
        let left = self.steps.get().checked_sub(steps.max(1));
        self.steps.set(left.unwrap_or(0));
        left.is_some()
    }

    /// The node of a value that all `schemas` describe.
    pub(super) fn node(&self, schemas: &[&'s Value]) -> Node<'s> {
        let mut node = Node::default();
        for schema in schemas {
            self.add(&mut node, schema);
        }
        node
    }

    /// `node` with the union at `index` replaced by one of its alternatives.
    pub(super) fn choose(&self, node: &Node<'s>, index: usize, alternative: &'s Value) -> Node<'s> {
        let mut chosen = node.clone();
        if index < chosen.unions.len() {
            chosen.unions.remove(index);
        }
        self.add(&mut chosen, alternative);
        chosen
    }

    fn add(&self, node: &mut Node<'s>, schema: &'s Value) {
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            let part = match schema {
                Value::Object(part) => part,
                Value::Bool(false) => {
                    node.is_never = true;
                    continue;
                }
                _ => continue,
            };
            if node.parts.iter().any(|known| std::ptr::eq(*known, part)) {
                continue;
            }
            if node.parts.len() == MAX_PARTS || !self.charge(part.len()) {
                return;
            }
            node.parts.push(part);
            for keyword in ["anyOf", "oneOf"] {
                if let Some(Value::Array(alternatives)) = part.get(keyword)
                    && !alternatives.is_empty()
                {
                    node.unions.push(alternatives);
                }
            }
            if let Some(Value::Array(schemas)) = part.get("allOf") {
                open.extend(schemas.iter().take(MAX_PARTS).rev());
            }
            if let Some(Value::String(reference)) = part.get("$ref") {
                match self.target(reference) {
                    Some(target) => open.push(target),
                    None => node.is_foreign = true,
                }
            }
        }
    }

    /// The part of the schema that `reference` names; `None` for a reference to another document.
    fn target(&self, reference: &str) -> Option<&'s Value> {
        let fragment = reference.strip_prefix('#')?;
        if fragment.contains('%') {
            return self.schema.pointer(&decoded(fragment)?);
        }
        self.schema.pointer(fragment)
    }
}

/// The text of a fragment with percent escapes; `None` if it is not UTF-8.
fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Everything that a schema says about one value.
#[derive(Default, Clone)]
pub(super) struct Node<'s> {
    parts: Vec<&'s Map<String, Value>>,
    /// The alternatives of each `anyOf` and `oneOf`.
    pub(super) unions: Vec<&'s Vec<Value>>,
    /// Whether no value is valid.
    pub(super) is_never: bool,
    /// Whether another document describes the value, too.
    pub(super) is_foreign: bool,
}

impl<'s> Node<'s> {
    /// The value of `keyword` in the first part that has it.
    pub(super) fn get(&self, keyword: &str) -> Option<&'s Value> {
        self.all(keyword).next()
    }

    /// The values of `keyword` in all parts.
    pub(super) fn all<'n>(&'n self, keyword: &'n str) -> impl Iterator<Item = &'s Value> + 'n {
        self.parts.iter().filter_map(move |part| part.get(keyword))
    }

    pub(super) fn text(&self, keyword: &str) -> Option<&'s str> {
        self.get(keyword)?.as_str()
    }

    /// The greatest value of a lower limit on a length.
    pub(super) fn at_least(&self, keyword: &str) -> u64 {
        let limits = self.all(keyword).filter_map(whole);
        limits.max().unwrap_or(0)
    }

    /// The least value of an upper limit on a length.
    pub(super) fn at_most(&self, keyword: &str) -> Option<u64> {
        self.all(keyword).filter_map(whole).min()
    }

    /// The types that a value may have, without duplicates: as declared, or else as the other keywords suggest. Empty if
    /// nothing is known.
    pub(super) fn types(&self) -> Vec<Type> {
        let mut types: Option<Vec<Type>> = None;
        for declared in self.all("type") {
            let declared: Vec<Type> = match declared {
                Value::Array(names) => names.iter().take(8).filter_map(Type::named).collect(),
                name => Type::named(name).into_iter().collect(),
            };
            types = Some(match types {
                None => declared,
                Some(types) => intersection(&types, &declared),
            });
        }
        let mut types = types.unwrap_or_else(|| self.suggested_type().into_iter().collect());
        if !types.is_empty() && self.get("nullable") == Some(&Value::Bool(true)) {
            types.push(Type::Null);
        }
        let mut known = Vec::new();
        types.retain(|one| {
            !known.contains(one) && {
                known.push(*one);
                true
            }
        });
        types
    }

    fn suggested_type(&self) -> Option<Type> {
        let by_keyword = [
            (
                Type::Object,
                &[
                    "properties",
                    "additionalProperties",
                    "required",
                    "patternProperties",
                ][..],
            ),
            (Type::Array, &["items", "prefixItems", "minItems"]),
            (Type::String, &["pattern", "minLength", "maxLength"]),
            (
                Type::Number,
                &[
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "multipleOf",
                ],
            ),
        ];
        let suggested = by_keyword.iter().find(|(_, keywords)| {
            keywords
                .iter()
                .any(|keyword| self.get(keyword).is_some_and(|value| !value.is_boolean()))
        });
        suggested.map(|(suggested, _)| *suggested)
    }

    /// The properties with the schemas of each, in the order of the schema.
    pub(super) fn properties(&self, root: &Root<'s>) -> Vec<(&'s str, Vec<&'s Value>)> {
        let mut properties: Vec<(&'s str, Vec<&'s Value>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for part in self.all("properties").filter_map(Value::as_object) {
            for (name, schema) in part {
                if !root.charge(1) {
                    return properties;
                }
                let place = *places.entry(name.as_str()).or_insert(properties.len());
                match properties.get_mut(place) {
                    Some((_, schemas)) => schemas.push(schema),
                    None => properties.push((name, vec![schema])),
                }
            }
        }
        properties
    }

    /// The names of the required properties.
    pub(super) fn required(&self, root: &Root<'s>) -> HashSet<&'s str> {
        let names = self.all("required").filter_map(Value::as_array).flatten();
        names
            .take_while(|_| root.charge(1))
            .filter_map(Value::as_str)
            .collect()
    }

    /// The schemas of the items of an array without a position of their own.
    pub(super) fn items(&self) -> Vec<&'s Value> {
        self.all("items")
            .filter(|items| items.is_object())
            .collect()
    }

    /// The schemas of items by their position.
    pub(super) fn prefix(&self) -> &'s [Value] {
        let listed = self.get("prefixItems").or_else(|| self.get("items"));
        listed.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The schemas of properties without a name of their own.
    pub(super) fn others(&self) -> Vec<&'s Value> {
        self.all("additionalProperties")
            .filter(|others| others.is_object())
            .collect()
    }

    /// The parts that describe members or items, by which a circle is found.
    pub(super) fn identity(&self) -> impl Iterator<Item = *const Map<String, Value>> + '_ {
        let has_inner = |part: &&&Map<String, Value>| {
            [
                "properties",
                "items",
                "prefixItems",
                "additionalProperties",
                "anyOf",
                "oneOf",
            ]
            .iter()
            .any(|keyword| part.get(*keyword).is_some_and(|inner| !inner.is_boolean()))
        };
        self.parts
            .iter()
            .filter(has_inner)
            .map(|part| std::ptr::from_ref(*part))
    }
}

fn whole(limit: &Value) -> Option<u64> {
    limit.as_u64().or_else(|| {
        let limit = limit.as_f64().filter(|limit| *limit >= 0.0)?;
        // A limit that is too large is the largest.
        Some(limit as u64)
    })
}

/// The types that both lists allow.
fn intersection(one: &[Type], other: &[Type]) -> Vec<Type> {
    let mut both = Vec::new();
    for a in one {
        for b in other {
            if a.includes(*b) {
                both.push(*b);
            } else if b.includes(*a) {
                both.push(*a);
            }
        }
    }
    both
}
