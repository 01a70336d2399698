//! Limits on the size of a schema document.

use std::collections::HashSet;

use serde_json::Value;

/// JSON values of a schema, its data included.
const MAX_VALUES: usize = 60_000;

/// Bytes of texts and keys of a schema.
const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// Levels of JSON of a schema. A parsed schema has at most 128, which is the parser's limit.
const MAX_DEPTH: usize = 256;

/// Occurrences of `$id` and `$schema`.
const MAX_DOCUMENTS: usize = 1_000;

/// Bytes of the paths to all values of a schema. The library keeps the path of each subschema.
const MAX_PATH_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of an array index in a path, with the slash.
const INDEX_BYTES: usize = 6;

/// The size of a schema document.
#[derive(Default)]
pub(in crate::schema) struct Size {
    /// Levels of JSON.
    pub(super) depth: usize,
    /// Bytes of the longest path to a value.
    pub(super) longest_path: usize,
}

impl Size {
    /// Measures `schema`.
    ///
    /// # Errors
    ///
    /// The exceeded limit, or an anchor that makes a dynamic reference ambiguous.
    pub(in crate::schema) fn of(schema: &Value) -> Result<Self, String> {
        measure(schema)
    }
}

fn measure(schema: &Value) -> Result<Size, String> {
    let mut size = Size::default();
    let (mut values, mut text, mut paths) = (0, 0, 0);
    let mut dynamic_anchors = HashSet::new();
    let (mut recursive_anchors, mut documents) = (0, 0);
    let mut stack = vec![(schema, 1, 0)];
    while let Some((value, depth, path)) = stack.pop() {
        values += 1;
        paths += path;
        size.depth = size.depth.max(depth);
        size.longest_path = size.longest_path.max(path);
        match value {
            Value::String(string) => text += string.len(),
            Value::Array(items) => {
                stack.extend(
                    items
                        .iter()
                        .map(|item| (item, depth + 1, path + INDEX_BYTES)),
                );
            }
            Value::Object(members) => {
                for (key, member) in members {
                    text += key.len();
                    stack.push((member, depth + 1, path + 1 + key.len()));
                    match (key.as_str(), member) {
                        ("$dynamicAnchor", Value::String(name))
                            if !dynamic_anchors.insert(name.as_str()) =>
                        {
                            return Err(format!(
                                "unsupported $dynamicAnchor '{name}': the schema has it twice"
                            ));
                        }
                        ("$recursiveAnchor", Value::Bool(true)) => recursive_anchors += 1,
                        ("$id" | "$schema", Value::String(_)) => documents += 1,
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
        if paths > MAX_PATH_BYTES {
            return Err(format!(
                "schema too large: the paths to its values may take at most {MAX_PATH_BYTES} bytes"
            ));
        }
    }
    if documents > MAX_DOCUMENTS {
        return Err(format!(
            "schema too large: at most {MAX_DOCUMENTS} occurrences of $id and $schema are allowed"
        ));
    }
    if recursive_anchors > 1 {
        return Err("unsupported $recursiveAnchor: the schema has it twice".to_owned());
    }
    Ok(size)
}
