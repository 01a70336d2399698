//! A schema as it is checked.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::pattern::Pattern;

/// A schema and all schemas in it; the first is the whole.
pub(super) struct Schema {
    pub(super) nodes: Vec<Node>,
    /// Whether any of them asks what others have looked at.
    pub(super) tracks: bool,
}

/// Which of the nodes.
pub(super) type Id = usize;

/// One schema: what a value must be.
pub(super) enum Node {
    Nothing,
    /// In the order in which they are checked; all of them for a schema that allows anything.
    Rules(Box<[Rule]>),
}

pub(super) enum Rule {
    Type(Types),
    Enum(Box<[Value]>),
    Const(Value),
    Range(Range, Number),
    MultipleOf(Number),
    Size(Size, u64),
    Pattern(Pattern),
    UniqueItems,
    Required(Box<[String]>),
    /// For each property, those that it needs beside it.
    DependentRequired(Box<[(String, Vec<String>)]>),
    DependentSchemas(Box<[(String, Id)]>),
    Properties(Box<Properties>),
    PropertyNames(Id),
    Items {
        prefix: Box<[Id]>,
        rest: Option<Id>,
    },
    Contains {
        item: Id,
        min: u64,
        max: Option<u64>,
    },
    AllOf(Box<[Id]>),
    AnyOf(Box<[Id]>),
    OneOf(Box<[Id]>),
    Not(Id),
    If {
        condition: Id,
        then: Option<Id>,
        otherwise: Option<Id>,
    },
    Ref(Id),
    /// Of the items or properties that no other rule of the schema has looked at.
    Unevaluated(Part, Id),
}

pub(super) struct Properties {
    pub(super) named: HashMap<String, Id>,
    pub(super) matching: Vec<(Pattern, Id)>,
    pub(super) additional: Option<Id>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Items,
    Properties,
}

/// What a number may be.
#[derive(Clone, Copy)]
pub(super) enum Range {
    Minimum,
    ExclusiveMinimum,
    Maximum,
    ExclusiveMaximum,
}

/// How much of something there may be.
#[derive(Clone, Copy)]
pub(super) enum Size {
    MinLength,
    MaxLength,
    MinItems,
    MaxItems,
    MinProperties,
    MaxProperties,
}

/// Types that a value may have, as bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    const NAMES: [(&'static str, Self); 7] = [
        ("array", Self(1)),
        ("boolean", Self(2)),
        ("integer", Self::INTEGER),
        ("null", Self(8)),
        ("number", Self::NUMBER),
        ("object", Self(32)),
        ("string", Self(64)),
    ];
    const INTEGER: Self = Self(4);
    /// Every integer is a number.
    const NUMBER: Self = Self(16 | 4);

    pub(super) fn named(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, types)| *types)
    }

    pub(super) fn of(value: &Value) -> Self {
        let name = match value {
            Value::Array(_) => "array",
            Value::Bool(_) => "boolean",
            Value::Null => "null",
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Number(number) if super::number::is_integer(number) => return Self::INTEGER,
            Value::Number(_) => return Self(16),
        };
        Self::named(name).unwrap_or_default()
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a value of one of the types `other` may be of these.
    pub(super) fn allow(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let is_number = self.0 & Self::NUMBER.0 == Self::NUMBER.0;
        Self::NAMES
            .into_iter()
            .filter(move |(name, types)| {
                self.0 & types.0 == types.0 && !(is_number && *name == "integer")
            })
            .map(|(name, _)| name)
    }
}

impl Rule {
    /// The keyword that it is written with.
    pub(super) fn keyword(&self) -> &'static str {
        match self {
            Self::Type(_) => "type",
            Self::Enum(_) => "enum",
            Self::Const(_) => "const",
            Self::Range(range, _) => match range {
                Range::Minimum => "minimum",
                Range::ExclusiveMinimum => "exclusiveMinimum",
                Range::Maximum => "maximum",
                Range::ExclusiveMaximum => "exclusiveMaximum",
            },
            Self::MultipleOf(_) => "multipleOf",
            Self::Size(size, _) => match size {
                Size::MinLength => "minLength",
                Size::MaxLength => "maxLength",
                Size::MinItems => "minItems",
                Size::MaxItems => "maxItems",
                Size::MinProperties => "minProperties",
                Size::MaxProperties => "maxProperties",
            },
            Self::Pattern(_) => "pattern",
            Self::UniqueItems => "uniqueItems",
            Self::Required(_) => "required",
            Self::DependentRequired(_) => "dependentRequired",
            Self::DependentSchemas(_) => "dependentSchemas",
            Self::Properties(_) => "additionalProperties",
            Self::PropertyNames(_) => "propertyNames",
            Self::Items { .. } => "items",
            Self::Contains { .. } => "contains",
            Self::AllOf(_) => "allOf",
            Self::AnyOf(_) => "anyOf",
            Self::OneOf(_) => "oneOf",
            Self::Not(_) => "not",
            Self::If { .. } => "if",
            Self::Ref(_) => "$ref",
            Self::Unevaluated(Part::Items, _) => "unevaluatedItems",
            Self::Unevaluated(Part::Properties, _) => "unevaluatedProperties",
        }
    }

    /// The schemas that it holds against the same value, not a part of it.
    pub(super) fn in_place(&self) -> Vec<Id> {
        match self {
            Self::AllOf(nodes) | Self::AnyOf(nodes) | Self::OneOf(nodes) => nodes.to_vec(),
            Self::DependentSchemas(dependents) => dependents.iter().map(|(_, id)| *id).collect(),
            Self::Not(node) | Self::Ref(node) => vec![*node],
            Self::If {
                condition,
                then,
                otherwise,
            } => [Some(*condition), *then, *otherwise]
                .into_iter()
                .flatten()
                .collect(),
            _ => Vec::new(),
        }
    }
}
