//! The strict form of objects and arrays.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::converter::{Converter, NO_VALUE, is_never, make_nullable};
use crate::tool::fit::Fit;
use crate::tool::keyword::{properties, required};
use crate::tool::problem::{Problem, Result, below};

/// The reason of an object that a strict form would close.
const OPEN: &str = "allows properties that the schema does not name";

impl Converter<'_> {
    pub(super) fn object(
        &mut self,
        node: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        let further = ["additionalProperties", "unevaluatedProperties"]
            .map(|keyword| node.get(keyword))
            .into_iter()
            .flatten();
        let mut is_closed = false;
        for further in further {
            match further {
                Value::Bool(false) => is_closed = true,
                Value::Object(never) if is_never(never) => is_closed = true,
                _ => return Err(Problem::new(at, OPEN)),
            }
        }
        if !is_closed && !node.contains_key("properties") {
            return Err(Problem::new(at, OPEN));
        }
        let needed: BTreeSet<&str> = required(node).collect();
        let mut names = Vec::new();
        let mut forms = Map::new();
        for (name, schema) in properties(node) {
            let Value::Object(schema) = schema else {
                continue;
            };
            let is_required = needed.contains(name.as_str());
            if is_never(schema) && !is_required {
                continue;
            }
            let here = below(&below(at, "properties"), name);
            let mut form = self.schema(schema, &here, depth + 1)?;
            if !is_required {
                // A reference does not show whether it allows null, and allowing it twice does no harm.
                let shows_null = !form.contains_key("$ref")
                    && Fit::new(self.document).fits_node(&Value::Null, schema, 0);
                if !shows_null {
                    make_nullable(&mut form);
                }
            }
            names.push(name.clone());
            forms.insert(name.clone(), Value::Object(form));
        }
        if let Some(missing) = required(node).find(|name| !forms.contains_key(*name)) {
            let here = below(&below(at, "properties"), missing);
            let reason = if is_closed {
                NO_VALUE
            } else {
                "allows any value"
            };
            return Err(Problem::new(&here, reason));
        }
        check_count(node, "Properties", needed.len(), forms.len(), at)?;
        names.sort_unstable();
        Ok(Map::from_iter([
            ("type".to_owned(), json!("object")),
            ("properties".to_owned(), Value::Object(forms)),
            ("required".to_owned(), json!(names)),
            ("additionalProperties".to_owned(), json!(false)),
        ]))
    }

    pub(super) fn array(
        &mut self,
        node: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<Map<String, Value>> {
        let mut form = Map::from_iter([("type".to_owned(), json!("array"))]);
        for keyword in ["minItems", "maxItems"] {
            if let Some(limit) = node.get(keyword) {
                form.insert(keyword.to_owned(), limit.clone());
            }
        }
        let max = node.get("maxItems").and_then(Value::as_u64);
        if node.get("uniqueItems") == Some(&json!(true)) && max.is_none_or(|max| max > 1) {
            return Err(Problem::new(at, "requires unique items"));
        }
        let here = below(at, "items");
        let prefix = node.get("prefixItems").and_then(Value::as_array);
        let items = match (node.get("items"), prefix) {
            (Some(Value::Object(items)), None) => self.schema(items, &here, depth + 1)?,
            (None, None) => return Err(Problem::new(at, "allows any items")),
            (items, prefix) => {
                let prefix = prefix.into_iter().flatten().filter_map(Value::as_object);
                let mut all: Vec<&Map<String, Value>> = prefix.collect();
                let length = all.len() as u64;
                match items {
                    Some(Value::Object(rest)) if !is_never(rest) => all.push(rest),
                    Some(_) => {
                        let max = max.map_or(length, |max| max.min(length));
                        form.insert("maxItems".to_owned(), json!(max));
                    }
                    None if max.is_some_and(|max| max <= length) => {}
                    None => return Err(Problem::new(at, "allows any items")),
                }
                let mut forms = Vec::new();
                for items in all {
                    forms.push(self.schema(items, &here, depth + 1)?);
                }
                let differ = forms.windows(2).any(|pair| pair[0] != pair[1]);
                match forms.pop() {
                    Some(one) if !differ => one,
                    _ => return Err(Problem::new(at, "gives each item a schema of its own")),
                }
            }
        };
        form.insert("items".to_owned(), Value::Object(items));
        Ok(form)
    }
}

/// Checks that the limits of a number are kept by all values between `least` and `most`.
fn check_count(
    node: &Map<String, Value>,
    of: &str,
    least: usize,
    most: usize,
    at: &str,
) -> Result<()> {
    let limit = |bound: &str| node.get(&format!("{bound}{of}")).and_then(Value::as_f64);
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of properties are small"
    )]
    let (least, most) = (least as f64, most as f64);
    if limit("min").is_some_and(|min| min > least) || limit("max").is_some_and(|max| max < most) {
        return Err(Problem::new(at, "limits the number of its properties"));
    }
    Ok(())
}
