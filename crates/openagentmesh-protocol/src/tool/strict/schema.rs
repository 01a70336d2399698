//! The strict form of one schema.

use serde_json::{Map, Value, json};

use super::converter::{
    Combined, Converter, MAX_COPIES, NO_VALUE, implied_type, is_never, make_nullable, one_field,
};
use super::scalar;
use crate::tool::document::MAX_DEPTH;
use crate::tool::keyword::{is_of_type, types};
use crate::tool::problem::{Problem, Result};
use crate::tool::reference::definition_name;

impl Converter<'_> {
    /// The form of `node`.
    pub(super) fn schema(
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
}
