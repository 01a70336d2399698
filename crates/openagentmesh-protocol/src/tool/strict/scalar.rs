//! The strict form of strings, numbers and enumerations.

use serde_json::{Map, Value, json};

use super::limits::{FORMATS, MAX_PATTERN_REPEAT, NUMBER_KEYWORDS};
use crate::tool::keyword::{TYPES, is_of_type, types};
use crate::tool::problem::{Problem, Result, below};

/// The formats of JSON Schema that OpenAI does not document. Other formats restrict nothing.
const OTHER_FORMATS: &[&str] = &[
    "idn-email",
    "idn-hostname",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "uri",
    "uri-reference",
    "uri-template",
];

/// The form of a value of the type `name`, which is a string, a number or a boolean.
pub(super) fn form(name: &str, node: &Map<String, Value>, at: &str) -> Result<Map<String, Value>> {
    let mut form = Map::from_iter([("type".to_owned(), json!(name))]);
    if node.contains_key("enum") {
        return Ok(form);
    }
    if matches!(name, "number" | "integer") {
        for keyword in NUMBER_KEYWORDS {
            if let Some(limit) = node.get(*keyword) {
                form.insert((*keyword).to_owned(), limit.clone());
            }
        }
    }
    if name == "string" {
        if let Some(Value::String(format)) = node.get("format") {
            if FORMATS.contains(&format.as_str()) {
                form.insert("format".to_owned(), json!(format));
            } else if OTHER_FORMATS.contains(&format.as_str()) {
                let reason = format!("is the format '{format}', which strict schemas do not have");
                return Err(Problem::new(&below(at, "format"), reason));
            }
        }
        if let Some(pattern) = pattern(node, at)? {
            form.insert("pattern".to_owned(), json!(pattern));
        }
    }
    Ok(form)
}

/// The pattern of a string, which also limits its length: strict schemas have no other way.
fn pattern(node: &Map<String, Value>, at: &str) -> Result<Option<String>> {
    let length = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
    let min = length("minLength").filter(|min| *min > 0.0);
    let max = length("maxLength");
    let pattern = node.get("pattern").and_then(Value::as_str);
    if let Some(pattern) = pattern {
        let at = below(at, "pattern");
        if min.is_some() || max.is_some() {
            return Err(Problem::new(&at, "is combined with a length"));
        }
        if !is_plain(pattern) {
            let reason = "has an assertion or a back-reference, which strict schemas do not have";
            return Err(Problem::new(&at, reason));
        }
        return Ok(Some(pattern.to_owned()));
    }
    if min.is_none() && max.is_none() {
        return Ok(None);
    }
    let is_excessive = |limit: Option<f64>| limit.is_some_and(|limit| limit > MAX_PATTERN_REPEAT);
    if is_excessive(min) || is_excessive(max) {
        let keyword = if is_excessive(max) {
            "maxLength"
        } else {
            "minLength"
        };
        let reason = format!("is above {MAX_PATTERN_REPEAT}");
        return Err(Problem::new(&below(at, keyword), reason));
    }
    let min = min.unwrap_or_default();
    let max = max.map(|max| max.to_string()).unwrap_or_default();
    Ok(Some(format!(r"^[\s\S]{{{min},{max}}}$")))
}

/// Whether `pattern` has no look-around, back-reference or word boundary.
fn is_plain(pattern: &str) -> bool {
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('b' | 'B' | 'k' | '1'..='9') | None => return false,
                Some(_) => {}
            },
            '(' if characters.peek() == Some(&'?') => {
                characters.next();
                if characters.next() != Some(':') {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

/// The values of an enumeration that fit the other keywords of `node`.
pub(super) fn fitting<'a>(
    values: &'a [Value],
    node: &Map<String, Value>,
    at: &str,
) -> Result<Vec<&'a Value>> {
    let at = below(at, "enum");
    if values
        .iter()
        .any(|value| value.is_object() || value.is_array())
    {
        return Err(Problem::new(&at, "lists objects or arrays"));
    }
    let is_string = |value: &&Value| value.is_string();
    let has_keyword = |keywords: &[&str]| keywords.iter().any(|k| node.contains_key(*k));
    if values.iter().any(|value| is_string(&value)) && has_keyword(&["pattern", "format"]) {
        return Err(Problem::new(&at, "is combined with a pattern or a format"));
    }
    let types = types(node);
    let fits = |value: &&Value| {
        let has_type = |types: &Vec<&str>| types.iter().any(|name| is_of_type(value, name));
        types.as_ref().is_none_or(has_type) && fits_limits(value, node)
    };
    let mut fitting: Vec<&Value> = Vec::new();
    for value in values.iter().filter(fits) {
        if !fitting.contains(&value) {
            fitting.push(value);
        }
    }
    Ok(fitting)
}

fn fits_limits(value: &Value, node: &Map<String, Value>) -> bool {
    let limit = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
    match value {
        Value::String(text) => {
            #[expect(clippy::cast_precision_loss, reason = "texts are short")]
            let length = text.chars().count() as f64;
            limit("minLength").is_none_or(|min| length >= min)
                && limit("maxLength").is_none_or(|max| length <= max)
        }
        Value::Number(number) => number.as_f64().is_some_and(|number| {
            limit("minimum").is_none_or(|min| number >= min)
                && limit("maximum").is_none_or(|max| number <= max)
                && limit("exclusiveMinimum").is_none_or(|min| number > min)
                && limit("exclusiveMaximum").is_none_or(|max| number < max)
                && limit("multipleOf").is_none_or(|factor| number % factor == 0.0)
        }),
        _ => true,
    }
}

/// The types of `values`, each once.
pub(super) fn types_of(values: &[&Value]) -> Vec<&'static str> {
    let has = |name: &&&str| values.iter().any(|value| is_of_type(value, name));
    // Whole numbers of a list that has fractions are numbers.
    let has_fraction = values
        .iter()
        .any(|v| v.is_number() && !is_of_type(v, "integer"));
    let excess = if has_fraction { "integer" } else { "number" };
    let names = TYPES.iter().filter(has);
    names.copied().filter(|name| *name != excess).collect()
}
