//! The keywords and the limits that OpenAI documents for strict schemas.
//!
//! Source: "Structured model outputs", section "Supported schemas", at
//! developers.openai.com/api/docs/guides/structured-outputs, as of 2026-07-30.

use serde_json::{Map, Value};

use crate::tool::problem::{Problem, Result};

/// The formats of strings.
pub(super) const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uuid",
];

/// The keywords of numbers.
pub(super) const NUMBER_KEYWORDS: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// Limit of the repetitions in the pattern of a length. OpenAI documents none; larger ones are costly.
pub(super) const MAX_PATTERN_REPEAT: f64 = 10_000.0;

/// Limit of the properties of all objects.
const MAX_PROPERTIES: usize = 5_000;

/// Limit of the levels of objects in objects.
const MAX_LEVELS: usize = 10;

/// Limit of the characters of all names of properties and definitions and of all enumerated values.
const MAX_CHARACTERS: usize = 120_000;

/// Limit of all enumerated values.
pub(super) const MAX_VALUES: usize = 1_000;

/// The number of values of one enumeration above which their characters are limited.
const LONG_ENUMERATION: usize = 250;

/// Limit of the characters of a long enumeration.
const MAX_ENUMERATION_CHARACTERS: usize = 15_000;

#[derive(Default)]
struct Totals {
    properties: usize,
    characters: usize,
    values: usize,
}

/// Checks the limits of `form`.
pub(super) fn check(form: &Map<String, Value>) -> Result<()> {
    let mut totals = Totals::default();
    let mut levels = 0;
    add(form, 0, &mut totals, &mut levels)?;
    for (name, definition) in form
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        totals.characters += name.chars().count();
        if let Some(definition) = definition.as_object() {
            add(definition, 0, &mut totals, &mut levels)?;
        }
    }
    let exceeded = if totals.properties > MAX_PROPERTIES {
        Some(format!("has more than {MAX_PROPERTIES} properties"))
    } else if levels > MAX_LEVELS {
        Some(format!("nests objects more than {MAX_LEVELS} levels deep"))
    } else if totals.characters > MAX_CHARACTERS {
        Some(format!(
            "has names and values of more than {MAX_CHARACTERS} characters"
        ))
    } else if totals.values > MAX_VALUES {
        Some(format!("enumerates more than {MAX_VALUES} values"))
    } else {
        None
    };
    exceeded.map_or(Ok(()), |reason| Err(Problem::new("", reason)))
}

/// Adds the parts of `form`, which is below `level` objects, to `totals`.
fn add(
    form: &Map<String, Value>,
    level: usize,
    totals: &mut Totals,
    levels: &mut usize,
) -> Result<()> {
    let mut level = level;
    if let Some(Value::Object(properties)) = form.get("properties") {
        level += 1;
        *levels = level.max(*levels);
        totals.properties += properties.len();
        for (name, property) in properties {
            totals.characters += name.chars().count();
            if let Some(property) = property.as_object() {
                add(property, level, totals, levels)?;
            }
        }
    }
    if let Some(Value::Object(items)) = form.get("items") {
        add(items, level, totals, levels)?;
    }
    for variant in form
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if let Some(variant) = variant.as_object() {
            add(variant, level, totals, levels)?;
        }
    }
    if let Some(Value::Array(values)) = form.get("enum") {
        let texts = values.iter().filter_map(Value::as_str);
        let characters: usize = texts.map(|text| text.chars().count()).sum();
        totals.values += values.len();
        totals.characters += characters;
        if values.len() > LONG_ENUMERATION && characters > MAX_ENUMERATION_CHARACTERS {
            let reason =
                format!("has an enumeration of more than {MAX_ENUMERATION_CHARACTERS} characters");
            return Err(Problem::new("", reason));
        }
    }
    Ok(())
}
