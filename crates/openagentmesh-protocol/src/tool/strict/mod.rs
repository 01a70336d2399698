//! The strict form of a schema for OpenAI's APIs.
//!
//! The form has only the keywords that OpenAI documents for strict schemas ([`limits`] has their list), so it
//! is built from what is known of a value, not by removing keywords. Every value that fits the form fits the
//! schema once its nulls are dropped, and at least one value fits. A schema for which that is not possible has
//! no strict form.

mod combine;
mod disjoint;
mod limits;
mod object;
mod satisfiable;
mod scalar;

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::document::{Document, MAX_DEPTH, MAX_NODES, definition_name};
use super::keyword::{is_annotation, is_of_type, types};
use super::problem::{Problem, Result, below, reference};
use combine::Combined;

/// The strict form of `document`, whose root is an object.
pub(super) fn convert(document: &Document) -> Result<Value> {
    let mut converter = Converter {
        document,
        steps: MAX_NODES,
        used: BTreeSet::new(),
        copying: Vec::new(),
        pending: VecDeque::new(),
    };
    let mut form = converter.schema(&document.root, "", 0)?;
    let mut definitions = Map::new();
    while let Some(name) = converter.pending.pop_front() {
        let location = below("/$defs", &name);
        let definition = document.definitions.get(&name).and_then(Value::as_object);
        let definition = definition.ok_or_else(|| Problem::new(&location, "is missing"))?;
        converter.copying.push(reference(&name));
        let definition = converter.schema(definition, &location, 0)?;
        converter.copying.pop();
        definitions.insert(name, Value::Object(definition));
    }
    if !definitions.is_empty() {
        form.insert("$defs".to_owned(), Value::Object(definitions));
    }
    limits::check(&form)?;
    satisfiable::check(&form)?;
    Ok(Value::Object(form))
}

/// Limit of the schemas in each other that are copied for the sake of their descriptions.
const MAX_COPIES: usize = 3;

/// The reason of a schema that no value fits.
const NO_VALUE: &str = "allows no value";

struct Converter<'a> {
    document: &'a Document,
    steps: usize,
    used: BTreeSet<String>,
    /// Definitions that the form refers to and does not have yet.
    pending: VecDeque<String>,
    /// The references whose schemas are being written, from the outermost to the innermost.
    copying: Vec<String>,
}

impl Converter<'_> {
    /// The form of `node`.
    fn schema(
        &mut self,
        node: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        self.spend(1, at)?;
        if depth > MAX_DEPTH {
            return Err(Problem::new(at, "is nested too deeply"));
        }
        let description = node.get("description").filter(|text| text.is_string());
        let mut form = match self.combine(node, at, 0)? {
            Combined::Reference(target) => {
                return self.reference(target, description, at, depth);
            }
            Combined::Union {
                variants,
                exclusive,
            } => self.union(&variants, exclusive, at, depth)?,
            Combined::Plain(plain) => return self.plain(&plain, at, depth),
        };
        if let Some(description) = description {
            form.insert("description".to_owned(), description.clone());
        }
        Ok(form)
    }

    /// The form of a reference. A strict reference has no description next to it, so the schema to which a
    /// described one leads is copied.
    fn reference(
        &mut self,
        target: String,
        description: Option<&Value>,
        at: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        if let Some(description) = description
            && self.copying.len() < MAX_COPIES
            && !self.copying.contains(&target)
        {
            let mut copy = self.target(&target, at)?;
            copy.insert("description".to_owned(), description.clone());
            self.copying.push(target);
            let form = self.schema(&copy, at, depth + 1);
            self.copying.pop();
            return form;
        }
        if let Some(name) = definition_name(&target).flatten()
            && self.used.insert(name.clone())
        {
            self.pending.push_back(name);
        }
        Ok(one_field("$ref", json!(target)))
    }

    fn union(
        &mut self,
        variants: &[Map<String, Value>],
        exclusive: bool,
        at: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        let variants: Vec<_> = variants
            .iter()
            .filter(|variant| !is_never(variant))
            .collect();
        if exclusive {
            self.check_disjoint(&variants, at)?;
        }
        let mut forms = Vec::new();
        for (index, variant) in variants.iter().enumerate() {
            let here = format!("{at}/anyOf/{index}");
            forms.push(Value::Object(self.schema(variant, &here, depth + 1)?));
        }
        match forms.pop() {
            None => Err(Problem::new(at, NO_VALUE)),
            Some(Value::Object(only)) if forms.is_empty() && !only.contains_key("$ref") => Ok(only),
            Some(last) => {
                forms.push(last);
                Ok(one_field("anyOf", Value::Array(forms)))
            }
        }
    }

    /// The form of `node`, which combines no other schemas.
    fn plain(
        &mut self,
        node: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        if is_never(node) {
            return Err(Problem::new(at, NO_VALUE));
        }
        let values = node.get("enum").and_then(Value::as_array);
        let values = values.map(|values| scalar::fitting(values, node, at));
        let values = values.transpose()?;
        let mut names: Vec<&str> = match (types(node), &values) {
            (Some(types), _) => types,
            (None, Some(values)) => scalar::types_of(values),
            (None, None) => {
                vec![implied_type(node).ok_or_else(|| Problem::new(at, "allows any value"))?]
            }
        };
        if let Some(values) = &values {
            names.retain(|name| values.iter().any(|value| is_of_type(value, name)));
        }
        // A whole number is also a number.
        if names.contains(&"number") {
            names.retain(|name| *name != "integer");
        }
        let nullable = names.contains(&"null");
        names.retain(|name| *name != "null");
        let mut forms = Vec::new();
        for name in names {
            let mut form = match name {
                "object" => self.object(node, at, depth)?,
                "array" => self.array(node, at, depth)?,
                _ => scalar::form(name, node, at)?,
            };
            form.insert("type".to_owned(), json!(name));
            if let Some(values) = &values {
                let values = values.iter().filter(|v| is_of_type(v, name));
                form.insert(
                    "enum".to_owned(),
                    values.map(|&value| value.clone()).collect(),
                );
            }
            forms.push(form);
        }
        let mut form = match (forms.pop(), nullable) {
            (None, true) => one_field("type", json!("null")),
            (None, false) => return Err(Problem::new(at, NO_VALUE)),
            (Some(mut only), _) if forms.is_empty() => {
                if nullable {
                    make_nullable(&mut only);
                }
                only
            }
            (Some(last), _) => {
                forms.push(last);
                if nullable {
                    forms.push(one_field("type", json!("null")));
                }
                one_field("anyOf", forms.into_iter().map(Value::Object).collect())
            }
        };
        if let Some(Value::String(description)) = node.get("description") {
            form.insert("description".to_owned(), json!(description));
        }
        Ok(form)
    }

    /// Counts `steps` towards the limit of the work on one schema.
    fn spend(&mut self, steps: usize, at: &str) -> Result<()> {
        self.steps = self
            .steps
            .checked_sub(steps)
            .ok_or_else(|| Problem::new(at, "is too large"))?;
        Ok(())
    }
}

/// Allows null in `form` too.
fn make_nullable(form: &mut Map<String, Value>) {
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
fn is_never(node: &Map<String, Value>) -> bool {
    let never = |not: &Value| {
        not.as_object()
            .is_some_and(|not| not.keys().all(|keyword| is_annotation(keyword)))
    };
    node.get("not").is_some_and(never)
}

/// The type of the values of which the keywords of `node` speak.
fn implied_type(node: &Map<String, Value>) -> Option<&'static str> {
    let has = |keyword: &str| node.contains_key(keyword);
    if has("properties") || has("required") || has("additionalProperties") {
        Some("object")
    } else if has("items") || has("prefixItems") {
        Some("array")
    } else {
        None
    }
}

fn one_field(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}
