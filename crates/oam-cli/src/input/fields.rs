//! An object whose members are given as fields.

use serde_json::Value;
use serde_json::value::RawValue;

use super::field::{Field, FieldValue};
use super::key::locate;
use super::schema_node::SchemaNode;
use super::tree::{Step, Tree};

/// A field that does not fit the schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The number of the field, from 0.
    pub(crate) index: usize,
    /// The key of the field or of its part.
    pub(crate) key: String,
    pub(crate) reason: String,
    /// The key that was probably meant.
    pub(crate) meant: Option<String>,
}

/// The reason for which no object can be made of the fields.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoObject {
    /// The schema is not that of an object.
    NotTaken {
        /// What is expected instead.
        expected: String,
        takes_text: bool,
    },
    Problems(Vec<Problem>),
}

/// The object that `fields` make, with the types of `schema`.
pub(crate) fn object(fields: &[Field], schema: &Value) -> Result<Box<RawValue>, NoObject> {
    let root = SchemaNode::root(schema);
    if !root.takes("object") {
        return Err(NoObject::NotTaken {
            expected: root.expected(),
            takes_text: root.takes("string"),
        });
    }
    let mut tree = Tree::default();
    let mut problems = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if let Err((reason, meant)) = set(&mut tree, field, &root) {
            let key = field.key.clone();
            problems.push(Problem {
                index,
                key,
                reason,
                meant,
            });
        }
    }
    if !problems.is_empty() {
        return Err(NoObject::Problems(problems));
    }
    let failed = |key: String, reason: String| {
        NoObject::Problems(vec![Problem {
            index: 0,
            key,
            reason,
            meant: None,
        }])
    };
    let json = tree.to_json().map_err(|place| {
        failed(
            place,
            "the element is missing; indexes count from 0".to_owned(),
        )
    })?;
    RawValue::from_string(json).map_err(|error| failed(String::new(), error.to_string()))
}

fn set(
    tree: &mut Tree,
    field: &Field,
    root: &SchemaNode<'_>,
) -> Result<(), (String, Option<String>)> {
    let place = locate(&field.key, root).map_err(|error| (error.reason, error.meant))?;
    let (mut path, schema) = (place.path, place.schema);
    let leaf = match &field.value {
        FieldValue::Json(json) => json.clone(),
        FieldValue::Text(text) => match schema.scalar(text) {
            Some(leaf) => leaf,
            None if schema.takes("array") => {
                let element = schema.element(None);
                path.push(Step::Append);
                let mismatch = || {
                    let expected = element.expected();
                    let reason = format!(
                        "expected {expected}, got '{text}'; each element of an array has its own argument"
                    );
                    (reason, None)
                };
                element.scalar(text).ok_or_else(mismatch)?
            }
            None => {
                let expected = schema.expected();
                let how = if schema.takes("object") {
                    format!("; write {0}.NAME=TEXT or {0}:=JSON", field.key)
                } else {
                    String::new()
                };
                return Err((format!("expected {expected}, got '{text}'{how}"), None));
            }
        },
    };
    tree.set(&path, leaf)
        .map_err(|reason| (reason.to_owned(), None))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::super::field::{Field, FieldValue};
    use super::{NoObject, object};

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "count": {"type": "integer"},
                "price": {"type": "number"},
                "express": {"type": "boolean"},
                "kind": {"enum": ["low", "high"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "numbers": {"type": "array", "items": {"type": "number"}},
                "customer": {"type": "object", "properties": {"email": {"type": "string"}}},
                "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
            },
        })
    }

    fn read(arguments: &[&str]) -> Result<String, NoObject> {
        let field = |argument: &&str| match argument.split_once(":=") {
            Some((key, json)) => Field {
                key: key.to_owned(),
                value: FieldValue::Json(RawValue::from_string(json.to_owned()).unwrap()),
            },
            None => {
                let (key, text) = argument.split_once('=').unwrap();
                Field {
                    key: key.to_owned(),
                    value: FieldValue::Text(text.to_owned()),
                }
            }
        };
        let fields: Vec<_> = arguments.iter().map(field).collect();
        object(&fields, &schema()).map(|json| json.get().to_owned())
    }

    #[test]
    fn fields_make_an_object() {
        for (arguments, expected) in [
            (
                &["name=3", "count=3", "price=1.50"][..],
                r#"{"name":"3","count":3,"price":1.50}"#,
            ),
            (&["name=a \"b\"=c"], r#"{"name":"a \"b\"=c"}"#),
            (
                &["express=true", "kind=low"],
                r#"{"express":true,"kind":"low"}"#,
            ),
            (&["tags=a", "tags=b,c"], r#"{"tags":["a","b,c"]}"#),
            (&["tags[]=a", "tags[1]=b"], r#"{"tags":["a","b"]}"#),
            (&["tags[1]=b", "tags[0]=a"], r#"{"tags":["a","b"]}"#),
            (&["tags:=[]"], r#"{"tags":[]}"#),
            (&["numbers=1", "numbers=2.50"], r#"{"numbers":[1,2.50]}"#),
            (&["customer.email=a@b"], r#"{"customer":{"email":"a@b"}}"#),
            (
                &["items[0].sku=A", "items[1][sku]=B"],
                r#"{"items":[{"sku":"A"},{"sku":"B"}]}"#,
            ),
            (
                &["customer:={\"email\": 1}"],
                r#"{"customer":{"email": 1}}"#,
            ),
        ] {
            assert_eq!(read(arguments).as_deref(), Ok(expected), "{arguments:?}");
        }
    }

    #[test]
    fn field_that_does_not_fit_names_its_key() {
        for (arguments, expected) in [
            (
                &["count=three"][..],
                "count: expected an integer, got 'three'",
            ),
            (&["count=3.5"], "count: expected an integer, got '3.5'"),
            (
                &["express=yes"],
                "express: expected true or false, got 'yes'",
            ),
            (
                &["kind=lwo"],
                "kind: expected one of \"low\", \"high\", got 'lwo'",
            ),
            (
                &["numbers=1,2"],
                "numbers: expected a number, got '1,2'; each element of an array has its own argument",
            ),
            (
                &["customer=ada"],
                "customer: expected an object, got 'ada'; write customer.NAME=TEXT or customer:=JSON",
            ),
            (&["nmae=a"], "nmae: unknown key; similar: 'name'"),
            (
                &["name=a", "name=b"],
                "name: an earlier argument gives its value",
            ),
            (
                &["tags:=[]", "tags=a"],
                "tags: an earlier argument gives another kind of value",
            ),
            (
                &["tags[1]=a"],
                "tags[0]: the element is missing; indexes count from 0",
            ),
            (
                &["tags[4000000000]=a"],
                "tags[0]: the element is missing; indexes count from 0",
            ),
        ] {
            let Err(NoObject::Problems(problems)) = read(arguments) else {
                panic!("{arguments:?}");
            };
            let message = format!("{}: {}", problems[0].key, problems[0].reason);
            assert_eq!(message, expected);
            assert_eq!(problems.len(), 1);
        }
    }

    #[test]
    fn agent_without_an_object_takes_no_fields() {
        for (schema, expected) in [
            (json!({"type": "string"}), "text"),
            (json!({"type": "array", "items": {}}), "an array"),
            (json!({"type": ["number", "null"]}), "a number or null"),
        ] {
            let taken = object(&[], &schema);
            let (expected, takes_text) = (expected.to_owned(), expected == "text");
            let error = NoObject::NotTaken {
                expected,
                takes_text,
            };
            assert_eq!(taken.unwrap_err(), error);
        }
    }
}
