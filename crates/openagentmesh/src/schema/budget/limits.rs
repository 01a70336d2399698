//! Limits on the size of a schema document.

use std::collections::HashSet;

use serde_json::Value;

/// JSON values of a schema, its data included.
const MAX_VALUES: usize = 100_000;

/// Bytes of texts and keys of a schema.
const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// Levels of JSON of a schema. The JSON parser allows 128.
const MAX_DEPTH: usize = 256;

/// Returns the number of levels that `schema` is nested.
///
/// # Errors
///
/// The exceeded limit, or an anchor that makes a dynamic reference ambiguous.
pub(super) fn check(schema: &Value) -> Result<usize, String> {
    let (mut values, mut text, mut deepest) = (0, 0, 0);
    let mut dynamic_anchors = HashSet::new();
    let mut recursive_anchors = 0;
    let mut stack = vec![(schema, 1)];
    while let Some((value, depth)) = stack.pop() {
        values += 1;
        deepest = deepest.max(depth);
        match value {
            Value::String(string) => text += string.len(),
            Value::Array(items) => stack.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => {
                for (key, member) in members {
                    text += key.len();
                    stack.push((member, depth + 1));
                    match (key.as_str(), member) {
                        ("$dynamicAnchor", Value::String(name))
                            if !dynamic_anchors.insert(name.as_str()) =>
                        {
                            return Err(format!(
                                "unsupported $dynamicAnchor '{name}': the schema has it twice"
                            ));
                        }
                        ("$recursiveAnchor", Value::Bool(true)) => recursive_anchors += 1,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if values > MAX_VALUES || text > MAX_TEXT_BYTES || depth > MAX_DEPTH {
            return Err(format!(
                "schema too large: at most {MAX_VALUES} values, {MAX_TEXT_BYTES} bytes of text and \
                 {MAX_DEPTH} levels are allowed"
            ));
        }
    }
    if recursive_anchors > 1 {
        return Err("unsupported $recursiveAnchor: the schema has it twice".to_owned());
    }
    Ok(deepest)
}
