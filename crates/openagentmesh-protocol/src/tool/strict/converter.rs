//! The state of one conversion, and the parts that its steps share.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use crate::tool::document::Document;
use crate::tool::keyword::is_annotation;
use crate::tool::problem::{Problem, Result};

/// Limit of the nodes that are read and copied for one form.
const MAX_STEPS: usize = 200_000;

/// Limit of the comparisons of variants for one form.
const MAX_COMPARISONS: usize = 200_000;

/// Limit of the schemas in each other that are copied for the sake of their descriptions.
pub(super) const MAX_COPIES: usize = 3;

/// The reason of a schema that no value fits.
pub(super) const NO_VALUE: &str = "allows no value";

/// The conversion of one document.
pub(super) struct Converter<'a> {
    pub(super) document: &'a Document,
    pub(super) steps: usize,
    pub(super) comparisons: usize,
    pub(super) used: BTreeSet<String>,
    /// Definitions that the form refers to and does not have yet.
    pub(super) pending: VecDeque<String>,
    /// The references whose schemas are being written, from the outermost to the innermost.
    pub(super) copying: Vec<String>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self {
            document,
            steps: MAX_STEPS,
            comparisons: MAX_COMPARISONS,
            used: BTreeSet::new(),
            pending: VecDeque::new(),
            copying: Vec::new(),
        }
    }

    /// Counts `steps` towards the limit of the work on one schema.
    pub(super) fn spend(&mut self, steps: usize, at: &str) -> Result<()> {
        self.steps = self
            .steps
            .checked_sub(steps)
            .ok_or_else(|| Problem::new(at, "is too large"))?;
        Ok(())
    }
}

/// A schema by its way of combining others.
pub(super) enum Combined {
    /// Only a reference.
    Reference(String),
    /// Variants, of which a value must fit one, and with `exclusive` only one.
    Union {
        variants: Vec<Map<String, Value>>,
        exclusive: bool,
    },
    /// Combines nothing.
    Plain(Map<String, Value>),
}

/// Allows null in `form` too.
pub(super) fn make_nullable(form: &mut Map<String, Value>) {
    let null = json!({"type": "null"});
    if let Some(Value::Array(variants)) = form.get_mut("anyOf") {
        if !variants.contains(&null) {
            variants.push(null);
        }
        return;
    }
    match form.get_mut("type") {
        Some(Value::String(one)) if one == "null" => return,
        Some(Value::String(one)) => {
            let both = json!([one, "null"]);
            form.insert("type".to_owned(), both);
        }
        Some(_) => return,
        None => {
            let reference = Value::Object(std::mem::take(form));
            form.insert("anyOf".to_owned(), Value::Array(vec![reference, null]));
            return;
        }
    }
    if let Some(Value::Array(values)) = form.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// Whether `node` is the schema that no value fits.
pub(super) fn is_never(node: &Map<String, Value>) -> bool {
    let never = |not: &Value| {
        not.as_object()
            .is_some_and(|not| not.keys().all(|keyword| is_annotation(keyword)))
    };
    node.get("not").is_some_and(never)
}

/// The type of the values of which the keywords of `node` speak.
pub(super) fn implied_type(node: &Map<String, Value>) -> Option<&'static str> {
    let has = |keyword: &str| node.contains_key(keyword);
    if has("properties") || has("required") || has("additionalProperties") {
        Some("object")
    } else if has("items") || has("prefixItems") {
        Some("array")
    } else {
        None
    }
}

pub(super) fn one_field(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}
