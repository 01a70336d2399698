//! When two schemas mean the same.

use interop::schema::meaning;
use serde_json::json;

#[test]
fn equivalent_schemas_are_equal() {
    let one = json!({
        "title": "In", "type": "object", "required": ["b", "a"],
        "properties": {
            "a": {"type": ["integer", "null"], "format": "uint32", "minimum": 0},
            "b": {"$ref": "#/$defs/B", "description": "Here."},
        },
        "$defs": {"B": {"type": "string", "enum": ["x", "y"], "description": "There."}},
    });
    let other = json!({
        "type": "object", "required": ["a", "b"],
        "properties": {
            "b": {"enum": ["y", "x"], "type": "string", "title": "B", "description": "Here."},
            "a": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0.0}],
                  "default": null},
        },
    });
    assert_eq!(meaning(&one), meaning(&other));
}

#[test]
fn different_schemas_are_not_equal() {
    let schema = json!({
        "type": "object", "required": ["a"],
        "properties": {"a": {"type": "string", "minLength": 1, "description": "This."}},
    });
    for (pointer, value) in [
        ("/required", json!([])),
        ("/properties/a/type", json!("integer")),
        ("/properties/a/type", json!(["string", "null"])),
        ("/properties/a/minLength", json!(2)),
        ("/properties/a/description", json!("That.")),
        ("/properties", json!({})),
    ] {
        let mut other = schema.clone();
        if let Some(place) = other.pointer_mut(pointer) {
            *place = value;
        }
        assert_ne!(meaning(&schema), meaning(&other), "{pointer}");
    }
    let nullable = json!({"type": "integer", "default": null});
    assert_ne!(meaning(&nullable), meaning(&json!({"type": "integer"})));
}
