//! Whether any value fits a strict form. Recursion without an end fits none.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::converter::NO_VALUE;
use crate::tool::problem::{Problem, Result, below};
use crate::tool::reference::definition_name;

/// Limit of the schemas that are looked at, repetitions included.
const MAX_STEPS: usize = 400_000;

/// Checks that at least one value fits `form`.
pub(super) fn check(form: &Map<String, Value>) -> Result<()> {
    let definitions = form.get("$defs").and_then(Value::as_object);
    let mut pending: Vec<(Option<String>, &Map<String, Value>)> = vec![(None, form)];
    for (name, definition) in definitions.into_iter().flatten() {
        pending.extend(
            definition
                .as_object()
                .map(|node| (Some(name.clone()), node)),
        );
    }
    let mut search = Search {
        known: BTreeSet::new(),
        steps: MAX_STEPS,
    };
    loop {
        let before = pending.len();
        // Definitions often refer to later ones; the other direction is next.
        pending.reverse();
        pending.retain(|(name, node)| {
            let fits = search.is_satisfiable(node);
            if fits {
                search.known.insert(name.clone());
            }
            !fits
        });
        if search.steps == 0 {
            return Err(Problem::new("", "is too large"));
        }
        if search.known.contains(&None) {
            return Ok(());
        }
        if pending.len() == before {
            let location = pending.iter().find_map(|(name, _)| name.as_deref());
            let location = location.map_or_else(String::new, |name| below("/$defs", name));
            return Err(Problem::new(&location, NO_VALUE));
        }
    }
}

struct Search {
    /// The definitions that a value fits, the root as `None`.
    known: BTreeSet<Option<String>>,
    steps: usize,
}

impl Search {
    fn is_satisfiable(&mut self, node: &Map<String, Value>) -> bool {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return false;
        }
        if let Some(Value::String(reference)) = node.get("$ref") {
            let name = definition_name(reference);
            return name.is_some_and(|name| self.known.contains(&name));
        }
        if let Some(Value::Array(variants)) = node.get("anyOf") {
            return variants.iter().any(|variant| self.child(variant));
        }
        let types = node.get("type");
        if types
            .and_then(Value::as_array)
            .is_some_and(|types| types.len() > 1)
        {
            // Null fits.
            return true;
        }
        if let Some(Value::Array(values)) = node.get("enum") {
            return !values.is_empty();
        }
        let limit = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
        match types.and_then(Value::as_str) {
            Some("object") => {
                let properties = node.get("properties").and_then(Value::as_object);
                properties.is_none_or(|all| all.values().all(|property| self.child(property)))
            }
            Some("array") => {
                let min = limit("minItems").unwrap_or_default();
                let max = limit("maxItems").unwrap_or(f64::MAX);
                min <= max && (min == 0.0 || node.get("items").is_some_and(|i| self.child(i)))
            }
            Some(name @ ("number" | "integer")) => has_number(node, name == "integer"),
            _ => true,
        }
    }

    fn child(&mut self, child: &Value) -> bool {
        child
            .as_object()
            .is_some_and(|child| self.is_satisfiable(child))
    }
}

/// Whether a number lies in the range of `node`.
fn has_number(node: &Map<String, Value>, is_integer: bool) -> bool {
    let limit = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
    let factor = match (limit("multipleOf"), is_integer) {
        (Some(factor), true) if factor.fract() != 0.0 => return has_range(node),
        (None, true) => Some(1.0),
        (factor, _) => factor,
    };
    let Some(factor) = factor else {
        return has_range(node);
    };
    // The least multiple in the range.
    let least = match (limit("minimum"), limit("exclusiveMinimum")) {
        (None, None) => return has_range(node),
        (minimum, exclusive) => {
            let from = minimum.map(|minimum| (minimum / factor).ceil() * factor);
            let after = exclusive.map(|minimum| ((minimum / factor).floor() + 1.0) * factor);
            from.unwrap_or(f64::MIN).max(after.unwrap_or(f64::MIN))
        }
    };
    limit("maximum").is_none_or(|max| least <= max)
        && limit("exclusiveMaximum").is_none_or(|max| least < max)
}

fn has_range(node: &Map<String, Value>) -> bool {
    let limit = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
    let (min, above) = (limit("minimum"), limit("exclusiveMinimum"));
    let (max, below) = (limit("maximum"), limit("exclusiveMaximum"));
    let at_most = |low: Option<f64>, high: Option<f64>| low.zip(high).is_none_or(|(l, h)| l <= h);
    let less = |low: Option<f64>, high: Option<f64>| low.zip(high).is_none_or(|(l, h)| l < h);
    at_most(min, max) && less(min, below) && less(above, max) && less(above, below)
}
