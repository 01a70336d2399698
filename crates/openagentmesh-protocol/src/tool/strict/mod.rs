//! The strict form of a schema for OpenAI's APIs.
//!
//! The form has only the keywords that OpenAI documents for strict schemas ([`limits`] has their list), so it
//! is built from what is known of a value, not by removing keywords. Every value that fits the form fits the
//! schema once its nulls are dropped, and at least one value fits. A schema for which that is not possible has
//! no strict form.

mod combine;
mod converter;
mod disjoint;
mod limits;
mod object;
mod satisfiable;
mod scalar;
mod schema;

use serde_json::{Map, Value};

use super::document::Document;
use super::problem::{Problem, Result, below};
use super::reference::reference;
use converter::Converter;

/// The strict form of `document`, whose root is an object.
pub(super) fn convert(document: &Document) -> Result<Value> {
    let mut converter = Converter::new(document);
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
