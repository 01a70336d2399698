//! The rule by which the input of an agent becomes the parameters of a tool.
//!
//! Parameters are an object. Providers refuse a root that combines schemas, and they refuse property names with
//! other characters than [`is_property_name`] allows. Such an input becomes the property [`WRAPPED_INPUT`] of
//! an object, and the arguments are unwrapped by the same rule.

use serde_json::Value;

use super::keyword::properties;

/// The property that holds a wrapped input.
pub(super) const WRAPPED_INPUT: &str = "input";

/// Limit of the characters of a property name at the root.
const MAX_PROPERTY_NAME: usize = 64;

/// Keywords that providers refuse at the root, in addition to `type: object` or instead of it.
const REFUSED_AT_ROOT: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "$ref",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "if",
    "not",
    "oneOf",
];

/// Whether an input of this `schema` is wrapped.
pub(super) fn is_wrapped(schema: &Value) -> bool {
    let Value::Object(node) = schema else {
        return true;
    };
    node.get("type").and_then(Value::as_str) != Some("object")
        || REFUSED_AT_ROOT
            .iter()
            .any(|keyword| node.contains_key(*keyword))
        || properties(node).any(|(name, _)| !is_property_name(name))
}

fn is_property_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=MAX_PROPERTY_NAME).contains(&name.len()) && name.chars().all(is_allowed)
}
