//! The key of a field: the way from the input to one of its members.

use super::schema_node::SchemaNode;
use super::tree::Step;

/// The number of steps of a key. JSON parsers limit the depth of values to about twice of that.
const MAX_STEPS: usize = 64;

/// The similarity from which on a name is suggested.
const MIN_SIMILARITY: f64 = 0.75;

/// The place that a key leads to.
#[derive(Debug)]
pub(super) struct Place<'s> {
    pub(super) path: Vec<Step>,
    pub(super) schema: SchemaNode<'s>,
}

/// The reason for which a key leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyError {
    pub(super) reason: String,
    /// The key that was probably meant.
    pub(super) meant: Option<String>,
}

impl KeyError {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            meant: None,
        }
    }
}

/// Follows `key`: names with dots between them, and after a name `[NAME]`, `[INDEX]`, or `[]` for one more element.
///
/// A name of the schema may contain these characters itself. A name of a map whose values have no members extends to the
/// end of the key.
pub(super) fn locate<'s>(key: &str, root: &SchemaNode<'s>) -> Result<Place<'s>, KeyError> {
    let mut place = Place {
        path: Vec::new(),
        schema: root.clone(),
    };
    let mut rest = key;
    loop {
        let name = first_name(rest, &place.schema);
        if name.is_empty() {
            return Err(KeyError::new("a name is missing"));
        }
        let before = &key[..key.len() - rest.len()];
        let after = &rest[name.len()..];
        place.enter_member(name, before, after)?;
        rest = after;
        while let Some(bracket) = rest.strip_prefix('[') {
            let Some((inner, after)) = bracket.split_once(']') else {
                return Err(KeyError::new("a closing bracket is missing"));
            };
            let before = &key[..key.len() - bracket.len()];
            place.enter_bracket(inner, before, &bracket[inner.len()..])?;
            rest = after;
        }
        rest = match rest.strip_prefix('.') {
            _ if rest.is_empty() => return Ok(place),
            Some(rest) => rest,
            None => {
                return Err(KeyError::new(
                    "after a bracket, a dot or a bracket must follow",
                ));
            }
        };
    }
}

impl Place<'_> {
    /// Enters the member `name`, which stands between `before` and `after` in the key.
    fn enter_member(&mut self, name: &str, before: &str, after: &str) -> Result<(), KeyError> {
        let Some(member) = self.schema.member(name) else {
            return Err(self.unknown(name, before, after));
        };
        self.schema = member;
        self.push(Step::Member(name.to_owned()))
    }

    fn enter_bracket(&mut self, inner: &str, before: &str, after: &str) -> Result<(), KeyError> {
        let is_array = self.schema.takes("array");
        let index = match inner {
            "" => None,
            _ if is_array && inner.bytes().all(|byte| byte.is_ascii_digit()) => {
                let index = inner
                    .parse()
                    .map_err(|_| KeyError::new("the index is too large"))?;
                Some(index)
            }
            _ => return self.enter_member(inner, before, after),
        };
        if !is_array {
            let expected = self.schema.expected();
            return Err(KeyError::new(format!("expected {expected}, not an array")));
        }
        self.schema = self.schema.element(index);
        self.push(index.map_or(Step::Append, Step::Element))
    }

    fn push(&mut self, step: Step) -> Result<(), KeyError> {
        if self.path.len() >= MAX_STEPS {
            return Err(KeyError::new(format!("more than {MAX_STEPS} levels")));
        }
        self.path.push(step);
        Ok(())
    }

    fn unknown(&self, name: &str, before: &str, after: &str) -> KeyError {
        if !self.schema.takes("object") {
            let expected = self.schema.expected();
            return KeyError::new(format!("expected {expected}, without further names"));
        }
        let similarity = |known: &str| {
            let (known, name) = (known.to_lowercase(), name.to_lowercase());
            strsim::jaro_winkler(&known, &name)
        };
        let known = self.schema.names().map(|known| (similarity(known), known));
        let nearest = known
            .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        match nearest {
            Some((_, nearest)) => KeyError {
                reason: format!("unknown key; similar: '{before}{nearest}'"),
                meant: Some(format!("{before}{nearest}{after}")),
            },
            None => KeyError::new(
                match self.schema.names().take(MAX_NAMES).collect::<Vec<_>>() {
                    names if names.is_empty() => "unknown key".to_owned(),
                    names => format!("unknown key; known: {}", names.join(", ")),
                },
            ),
        }
    }
}

/// The number of known names in a message.
const MAX_NAMES: usize = 20;

/// The name at the start of `rest`: the longest one of the schema, else up to the next dot or bracket.
fn first_name<'k>(rest: &'k str, schema: &SchemaNode<'_>) -> &'k str {
    let is_end = |after: &str| after.is_empty() || after.starts_with(['.', '[']);
    let known = schema
        .names()
        .filter(|name| rest.strip_prefix(name).is_some_and(is_end));
    if let Some(longest) = known.map(str::len).max().filter(|length| *length > 0) {
        return &rest[..longest];
    }
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let name = &rest[..end];
    let is_map_of_scalars = schema
        .member(name)
        .is_some_and(|value| !value.takes_container());
    if is_map_of_scalars { rest } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::schema_node::SchemaNode;
    use super::super::tree::Step::{self, Append, Element, Member};
    use super::locate;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "a.b": {"type": "string"},
                "limits": {"$ref": "#/$defs/Limits"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "items": {"type": "array", "items": {"$ref": "#/$defs/Limits"}},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
                "any": {},
            },
            "$defs": {"Limits": {"type": "object", "properties": {"retries": {"type": "integer"}}}},
        })
    }

    fn member(name: &str) -> Step {
        Member(name.to_owned())
    }

    #[test]
    fn key_leads_to_its_place() {
        let schema = schema();
        let root = SchemaNode::root(&schema);
        for (key, path) in [
            ("name", vec![member("name")]),
            ("a.b", vec![member("a.b")]),
            ("limits.retries", vec![member("limits"), member("retries")]),
            ("limits[retries]", vec![member("limits"), member("retries")]),
            ("tags[]", vec![member("tags"), Append]),
            ("tags[2]", vec![member("tags"), Element(2)]),
            (
                "items[0].retries",
                vec![member("items"), Element(0), member("retries")],
            ),
            (
                "items[0][retries]",
                vec![member("items"), Element(0), member("retries")],
            ),
            ("env.PATH.x", vec![member("env"), member("PATH.x")]),
            (
                "any.x[0].y",
                vec![member("any"), member("x"), Element(0), member("y")],
            ),
        ] {
            assert_eq!(locate(key, &root).unwrap().path, path, "{key}");
        }
    }

    #[test]
    fn key_that_leads_nowhere_is_explained() {
        let schema = schema();
        let root = SchemaNode::root(&schema);
        for (key, reason, meant) in [
            ("nmae", "unknown key; similar: 'name'", Some("name")),
            ("NAME", "unknown key; similar: 'name'", Some("name")),
            (
                "limits.retires",
                "unknown key; similar: 'limits.retries'",
                Some("limits.retries"),
            ),
            (
                "itmes[0].retries",
                "unknown key; similar: 'items'",
                Some("items[0].retries"),
            ),
            (
                "limits[retires]",
                "unknown key; similar: 'limits[retries'",
                Some("limits[retries]"),
            ),
            (
                "zzz",
                "unknown key; known: name, a.b, limits, tags, items, env, any",
                None,
            ),
            ("name.first", "expected text, without further names", None),
            ("name[]", "expected text, not an array", None),
            ("limits.", "a name is missing", None),
            (".name", "a name is missing", None),
            ("tags[0", "a closing bracket is missing", None),
            (
                "tags[99999999999999999999999]",
                "the index is too large",
                None,
            ),
            (
                "items[0]retries",
                "after a bracket, a dot or a bracket must follow",
                None,
            ),
        ] {
            let error = locate(key, &root).unwrap_err();
            assert_eq!(error.reason, reason, "{key}");
            assert_eq!(error.meant.as_deref(), meant, "{key}");
        }
        let deep = format!("any{}", ".a".repeat(100_000));
        assert_eq!(
            locate(&deep, &root).unwrap_err().reason,
            "more than 64 levels"
        );
        let deep = format!("any{}", "[0]".repeat(100_000));
        assert_eq!(
            locate(&deep, &root).unwrap_err().reason,
            "more than 64 levels"
        );
    }
}
