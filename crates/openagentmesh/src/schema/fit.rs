//! Whether deserialisation alone enforces a schema.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::Error;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Number, Value};

use super::prepare::integer_range;

/// Values that a probe deserialises. A type with more is taken as one that does not enforce its schema.
const MAX_PROBED_VALUES: usize = 20_000;

/// Levels of a probed type: a recursive type has no end.
const MAX_DEPTH: usize = 32;

/// Keywords that restrict nothing.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$defs",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

static ANY: Value = Value::Bool(true);

/// A type compared with its schema.
pub(super) struct Fit {
    /// Whether deserialisation refuses every value that the schema refuses.
    pub(super) is_enforced: bool,
    /// A name that the type takes and the schema does not have, for example from `#[serde(alias)]`.
    pub(super) unknown_name: Option<&'static str>,
}

/// Whether deserialising a `T` refuses every value that `schema` refuses.
///
/// The type is deserialised from a value that the schema describes, and from the same value without each
/// required property. Every step is compared with the schema. Only plain types pass: numbers, texts,
/// options, lists, maps and structs without restrictions. For all others the schema has to be checked.
pub(super) fn compare<T: DeserializeOwned>(schema: &Value) -> Fit {
    let unknown_name = Cell::new(None);
    let probing = AssertUnwindSafe(|| probe::<T>(schema, &unknown_name));
    Fit {
        is_enforced: is_any(schema) || catch_unwind(probing).unwrap_or(false),
        unknown_name: unknown_name.get(),
    }
}

fn probe<T: DeserializeOwned>(schema: &Value, unknown_name: &Cell<Option<&'static str>>) -> bool {
    let state = State {
        root: schema,
        unknown_name,
        values: Cell::new(0),
        differs: Cell::new(false),
        choices: Cell::new(0),
        broken: Cell::new(None),
    };
    if state.run::<T>().is_err() || state.differs.get() {
        return false;
    }
    // Each value that breaks one rule must be refused.
    (0..state.choices.get()).all(|choice| {
        state.broken.set(Some(choice));
        state.run::<T>().is_err() && state.values.get() <= MAX_PROBED_VALUES
    })
}

struct State<'s> {
    root: &'s Value,
    unknown_name: &'s Cell<Option<&'static str>>,
    /// Probed values so far.
    values: Cell<usize>,
    /// Whether the type differs from the schema.
    differs: Cell<bool>,
    /// Required properties and closed objects so far in this run.
    choices: Cell<usize>,
    /// The one of them that the value of this run breaks.
    broken: Cell<Option<usize>>,
}

impl State<'_> {
    fn run<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.choices.set(0);
        T::deserialize(Probe {
            state: self,
            schema: self.root,
            is_optional: false,
            depth: 0,
        })
    }

    /// Counts a rule, and returns whether the value of this run breaks it.
    fn breaks(&self) -> bool {
        let choice = self.choices.get();
        self.choices.set(choice + 1);
        self.broken.get() == Some(choice)
    }
}

/// A deserializer of a value that `schema` describes.
#[derive(Clone, Copy)]
struct Probe<'s> {
    state: &'s State<'s>,
    schema: &'s Value,
    /// Whether the schema may allow `null`, because the type is an `Option`.
    is_optional: bool,
    depth: usize,
}

impl<'s> Probe<'s> {
    fn differs<T>(&self) -> Result<T, Error> {
        self.state.differs.set(true);
        Err(Error::custom("the type differs from its schema"))
    }

    fn of(self, schema: &'s Value) -> Self {
        Self {
            schema,
            is_optional: false,
            depth: self.depth + 1,
            ..self
        }
    }

    /// The schema of type `kind`, if it has no keywords but annotations and `allowed`.
    fn node(&self, kind: &str, allowed: &[&str]) -> Result<&'s Map<String, Value>, Error> {
        self.state.values.set(self.state.values.get() + 1);
        if self.depth > MAX_DEPTH || self.state.values.get() > MAX_PROBED_VALUES {
            return self.differs();
        }
        let Value::Object(node) = self.resolved() else {
            return self.differs();
        };
        let is_of_kind = match node.get("type") {
            Some(Value::String(name)) => name == kind,
            Some(Value::Array(names)) => {
                self.is_optional
                    && names.len() == 2
                    && names.iter().all(|name| name == kind || name == "null")
            }
            _ => false,
        };
        let is_known = |keyword: &str| {
            keyword == "type" || allowed.contains(&keyword) || ANNOTATIONS.contains(&keyword)
        };
        match is_of_kind && node.keys().all(|keyword| is_known(keyword)) {
            true => Ok(node),
            false => self.differs(),
        }
    }

    /// The schema that a chain of references leads to.
    fn resolved(&self) -> &'s Value {
        let mut schema = self.schema;
        for _ in 0..MAX_DEPTH {
            let target = schema.as_object().and_then(|node| {
                let is_only = |keyword: &String| keyword == "$ref" || is_annotation(keyword);
                let reference = node.get("$ref")?.as_str()?.strip_prefix('#')?;
                node.keys()
                    .all(is_only)
                    .then(|| self.state.root.pointer(reference))?
            });
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    /// The schema of an integer, if it allows all from `minimum` to `maximum`.
    fn integer(&self, minimum: Number, maximum: Number) -> Result<(), Error> {
        let node = self.node("integer", &["format", "minimum", "maximum"])?;
        let format = match node.get("format").map(Value::as_str) {
            None => None,
            Some(format) => match format.and_then(integer_range) {
                Some(range) => Some(range),
                None => return self.differs(),
            },
        };
        let (lower, upper) = format.unzip();
        let number = |keyword: &str| match node.get(keyword) {
            Some(Value::Number(limit)) => Some(limit.clone()),
            _ => None,
        };
        let allows = |limit: Option<Number>, own: &Number, is_lower: bool| {
            limit.is_none_or(|limit| match (exact(&limit), exact(own)) {
                (Some(limit), Some(own)) if is_lower => limit <= own,
                (Some(limit), Some(own)) => limit >= own,
                _ => limit == *own,
            })
        };
        let fits = allows(lower, &minimum, true)
            && allows(number("minimum"), &minimum, true)
            && allows(upper, &maximum, false)
            && allows(number("maximum"), &maximum, false);
        match fits {
            true => Ok(()),
            false => self.differs(),
        }
    }
}

fn exact(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword)
}

/// Whether `schema` allows every value.
pub(super) fn is_any(schema: &Value) -> bool {
    match schema {
        Value::Bool(any) => *any,
        Value::Object(node) => node.keys().all(|keyword| is_annotation(keyword)),
        _ => false,
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.integer(<$type>::MIN.into(), <$type>::MAX.into())?;
            visitor.visit_u64(1)
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match is_any(self.resolved()) {
            true => visitor.visit_unit(),
            false => self.differs(),
        }
    }

    integers! {
        deserialize_i8: i8
        deserialize_i16: i16
        deserialize_i32: i32
        deserialize_i64: i64
        deserialize_u8: u8
        deserialize_u16: u16
        deserialize_u32: u32
        deserialize_u64: u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.node("number", &["format"])?;
        match node.get("format").map(Value::as_str) {
            None | Some(Some("float" | "double")) => visitor.visit_f64(1.5),
            _ => self.differs(),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.node("boolean", &[])?;
        visitor.visit_bool(true)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.node("string", &[])?;
        visitor.visit_str("a")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.node("null", &[])?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let schema = self.resolved();
        if is_any(schema) {
            return visitor.visit_none();
        }
        let is_null = |schema: &Value| {
            let node = schema.as_object();
            node.is_some_and(|node| node.len() == 1 && node["type"] == "null")
        };
        match (schema.get("type"), schema.get("anyOf")) {
            (Some(Value::Array(names)), None) if names.iter().any(|name| name == "null") => visitor
                .visit_some(Self {
                    is_optional: true,
                    ..self
                }),
            (None, Some(Value::Array(schemas))) => match &schemas[..] {
                [some, none]
                    if is_null(none)
                        && schema.as_object().is_some_and(|node| {
                            node.keys().all(|k| k == "anyOf" || is_annotation(k))
                        }) =>
                {
                    visitor.visit_some(self.of(some))
                }
                _ => self.differs(),
            },
            _ => self.differs(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.node("array", &["items"])?;
        visitor.visit_seq(One(Some(self.of(node.get("items").unwrap_or(&ANY)))))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.node("object", &["additionalProperties"])?;
        let member = node.get("additionalProperties").unwrap_or(&ANY);
        visitor.visit_map(Members {
            members: vec![("a", self.of(member))],
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.node(
            "object",
            &["additionalProperties", "properties", "required"],
        )?;
        let none = Map::new();
        let properties = match node.get("properties") {
            None => &none,
            Some(Value::Object(properties)) => properties,
            Some(_) => return self.differs(),
        };
        // A field without a property is an alias, for example.
        let unknown = fields
            .iter()
            .find(|field| !properties.contains_key(**field));
        if let Some(unknown) = unknown {
            self.state.unknown_name.set(Some(*unknown));
        }
        if fields.len() != properties.len()
            || fields.iter().any(|field| !properties.contains_key(*field))
        {
            return self.differs();
        }
        let required: &[Value] = match node.get("required") {
            None => &[],
            Some(Value::Array(names)) => names,
            Some(_) => return self.differs(),
        };
        let mut members = Vec::with_capacity(fields.len() + 1);
        for field in fields {
            if !(required.iter().any(|name| name == field) && self.state.breaks()) {
                // The properties live in the schema; `none` has no fields.
                let Some(schema) = node.get("properties").and_then(|named| named.get(*field))
                else {
                    return self.differs();
                };
                members.push((*field, self.of(schema)));
            }
        }
        match node.get("additionalProperties") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                if self.state.breaks() {
                    members.push(("an unknown property", self.of(&ANY)));
                }
            }
            Some(_) => return self.differs(),
        }
        members.reverse();
        visitor.visit_map(Members { members })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match integer_range("int128") {
            Some((minimum, maximum)) => self.integer(minimum, maximum)?,
            None => return self.differs(),
        }
        visitor.visit_u64(1)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match integer_range("uint128") {
            Some((minimum, maximum)) => self.integer(minimum, maximum)?,
            None => return self.differs(),
        }
        visitor.visit_u64(1)
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit_struct tuple tuple_struct enum identifier
    }
}

/// A list of one item.
struct One<'s>(Option<Probe<'s>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.0.take().map(|item| seed.deserialize(item)).transpose()
    }
}

/// The members of an object, the last one first.
struct Members<'s> {
    members: Vec<(&'static str, Probe<'s>)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let name = self.members.last().map(|(name, _)| *name);
        name.map(|name| seed.deserialize(name.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        match self.members.pop() {
            Some((_, member)) => seed.deserialize(member),
            None => Err(Error::custom("no member")),
        }
    }
}
