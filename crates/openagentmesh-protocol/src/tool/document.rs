//! A schema with every reference in one of two forms: `#`, or the name of a definition at the root.
//!
//! References keep their meaning when the schema moves below another, and converters resolve them by name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::circle;
use super::keyword::{Children, TYPES, children};
use super::problem::{Problem, Result, below};
use super::reference::{decoded, definition_name, reference};

/// Limit of the nodes of a schema: schemas, enumerated values and names of required properties. Copies of shared
/// parts count too.
const MAX_NODES: usize = 20_000;

/// Limit of the length of a location in a schema, in bytes.
const MAX_LOCATION: usize = 4_096;

/// Limit of the nesting of a schema.
pub(super) const MAX_DEPTH: usize = 128;

/// The name of the definition that holds the input of a wrapped schema which refers to itself.
const ROOT_DEFINITION: &str = "Input";

/// A schema that [`Document::read`] has rewritten.
///
/// Boolean schemas are `{}` and `{"not": {}}`, except where a keyword is commonly a boolean. Keywords that
/// only identify schemas are removed, those of older drafts are in their present form.
pub(super) struct Document {
    /// The input itself.
    pub(super) root: Map<String, Value>,
    /// The schemas that references name.
    pub(super) definitions: Map<String, Value>,
    /// The definition that holds the input of a wrapped schema, if the input refers to itself.
    pub(super) root_definition: Option<String>,
}

impl Document {
    /// The document of `schema`. With `wrapped`, references to the root lead to a definition.
    pub(super) fn read(schema: &Value, wrapped: bool) -> Result<Self> {
        let mut reader = Reader::new(schema, wrapped);
        reader.scan(schema, "", "", 0)?;
        reader.name_definitions();
        let root = match reader.rewrite(schema, "", 0)? {
            Value::Object(root) => root,
            _ => Map::new(),
        };
        let mut definitions = Map::new();
        while let Some((pointer, name)) = reader.pending.pop_front() {
            let target = schema
                .pointer(&pointer)
                .ok_or_else(|| Problem::new(&pointer, "is missing"))?;
            let definition = if pointer.is_empty() {
                Value::Object(root.clone())
            } else {
                reader.rewrite(target, &pointer, 0)?
            };
            definitions.insert(name, definition);
        }
        circle::check(&root, &definitions)?;
        let root_definition = wrapped.then(|| reader.names.get("").cloned()).flatten();
        Ok(Self {
            root,
            definitions,
            root_definition,
        })
    }

    /// The document of an agent without input.
    pub(super) fn without_input() -> Self {
        Self {
            root: Map::from_iter([("properties".to_owned(), json!({}))]),
            definitions: Map::new(),
            root_definition: None,
        }
    }

    /// The definition to which `reference` leads: the root for `#`.
    pub(super) fn resolve(&self, reference: &str) -> Option<&Map<String, Value>> {
        match definition_name(reference)? {
            None => Some(&self.root),
            Some(name) => self.definitions.get(&name)?.as_object(),
        }
    }

    /// An object schema whose property `property` holds the root.
    pub(super) fn wrap(self, property: &str) -> Self {
        let input = match &self.root_definition {
            Some(name) => json!({"$ref": reference(name)}),
            None => Value::Object(self.root),
        };
        let mut root = Map::new();
        root.insert("type".to_owned(), json!("object"));
        root.insert("properties".to_owned(), json!({ property: input }));
        root.insert("required".to_owned(), json!([property]));
        Self {
            root,
            definitions: self.definitions,
            root_definition: self.root_definition,
        }
    }

    /// The whole schema.
    pub(super) fn to_schema(&self) -> Value {
        let mut schema = self.root.clone();
        if !self.definitions.is_empty() {
            let definitions = Value::Object(self.definitions.clone());
            schema.insert("$defs".to_owned(), definitions);
        }
        Value::Object(schema)
    }
}

struct Reader<'a> {
    schema: &'a Value,
    wrapped: bool,
    nodes: usize,
    /// The pointers of schemas by `$id`.
    ids: BTreeMap<String, String>,
    /// The pointers of schemas by their resource and anchor.
    anchors: BTreeMap<(String, String), String>,
    /// The pointers of schemas with an `$id`: references in them start there.
    resources: BTreeSet<String>,
    /// The names of definitions, by the pointers of their schemas.
    names: BTreeMap<String, String>,
    /// All names in `names`.
    used: BTreeSet<String>,
    /// The definitions that are yet to be rewritten: pointer and name.
    pending: VecDeque<(String, String)>,
}

impl<'a> Reader<'a> {
    fn new(schema: &'a Value, wrapped: bool) -> Self {
        Self {
            schema,
            wrapped,
            nodes: 0,
            ids: BTreeMap::new(),
            anchors: BTreeMap::new(),
            resources: BTreeSet::new(),
            names: BTreeMap::new(),
            used: BTreeSet::new(),
            pending: VecDeque::new(),
        }
    }

    fn count(&mut self, at: &str, depth: usize) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH || at.len() > MAX_LOCATION {
            return Err(Problem::new(shortened(at), "is too large"));
        }
        Ok(())
    }

    /// Collects identifiers and checks the form of every keyword that is converted.
    fn scan(&mut self, node: &Value, at: &str, resource: &str, depth: usize) -> Result<()> {
        self.count(at, depth)?;
        let node = match node {
            Value::Object(node) => node,
            Value::Bool(_) => return Ok(()),
            _ => return Err(Problem::new(at, "is not a schema")),
        };
        let text = |keyword: &str| node.get(keyword).and_then(Value::as_str);
        let mut resource = resource;
        if let Some(id) = text("$id").filter(|id| !id.starts_with('#')) {
            self.ids
                .insert(id.trim_end_matches('#').to_owned(), at.to_owned());
            if !at.is_empty() {
                self.resources.insert(at.to_owned());
            }
            resource = at;
        }
        for anchor in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = text(anchor) {
                let anchor = (resource.to_owned(), name.to_owned());
                self.anchors.insert(anchor, at.to_owned());
            }
        }
        check_keywords(node, at)?;
        for (keyword, child) in node {
            let here = below(at, keyword);
            match (children(keyword), child) {
                (None, Value::Array(data)) => self.nodes += data.len(),
                (None, _) => {}
                (Some(Children::List), Value::Array(list)) if !list.is_empty() => {
                    for (index, child) in list.iter().enumerate() {
                        self.scan(child, &format!("{here}/{index}"), resource, depth + 1)?;
                    }
                }
                // The form of tuples in older drafts.
                (Some(_), Value::Array(list)) if keyword == "items" => {
                    for (index, child) in list.iter().enumerate() {
                        self.scan(child, &format!("{here}/{index}"), resource, depth + 1)?;
                    }
                }
                (Some(Children::Named), Value::Object(named)) => {
                    for (name, child) in named {
                        if keyword == "dependencies" && child.is_array() {
                            continue;
                        }
                        self.scan(child, &below(&here, name), resource, depth + 1)?;
                    }
                }
                (Some(Children::One | Children::OneOrSwitch), child) => {
                    self.scan(child, &here, resource, depth + 1)?;
                }
                (Some(_), _) => return Err(Problem::new(&here, "is malformed")),
            }
        }
        Ok(())
    }

    /// Names the definitions at the root as they are, so that they are kept even if nothing refers to them.
    fn name_definitions(&mut self) {
        let schema = self.schema;
        for keyword in ["$defs", "definitions"] {
            let definitions = schema.get(keyword).and_then(Value::as_object);
            for name in definitions.into_iter().flatten().map(|(name, _)| name) {
                self.name(&below(&format!("/{keyword}"), name), name);
            }
        }
    }

    /// The name of the definition of the schema at `pointer`, with `wanted` if it is free.
    fn name(&mut self, pointer: &str, wanted: &str) -> String {
        if let Some(name) = self.names.get(pointer) {
            return name.clone();
        }
        let mut name = wanted.to_owned();
        let mut suffix = 2;
        while self.used.contains(&name) {
            name = format!("{wanted}_{suffix}");
            suffix += 1;
        }
        self.used.insert(name.clone());
        self.names.insert(pointer.to_owned(), name.clone());
        self.pending.push_back((pointer.to_owned(), name.clone()));
        name
    }

    /// The resource to which the schema at `pointer` belongs.
    fn resource(&self, pointer: &str) -> String {
        let mut end = pointer.len();
        loop {
            let prefix = &pointer[..end];
            if prefix.is_empty() || self.resources.contains(prefix) {
                return prefix.to_owned();
            }
            end = prefix.rfind('/').unwrap_or(0);
        }
    }

    /// `text`, a reference in the schema at `at`, in its rewritten form.
    fn reference(&mut self, text: &str, at: &str) -> Result<String> {
        let outside = || {
            Problem::new(
                at,
                format!("refers to '{text}', which is not in the schema"),
            )
        };
        let (base, fragment) = text.split_once('#').unwrap_or((text, ""));
        let resource = if base.is_empty() {
            self.resource(at)
        } else {
            self.ids.get(base).cloned().ok_or_else(outside)?
        };
        let fragment = decoded(fragment).ok_or_else(outside)?;
        let target = if fragment.is_empty() {
            resource
        } else if fragment.starts_with('/') {
            resource + &fragment
        } else {
            let anchor = self.anchors.get(&(resource, fragment));
            anchor.cloned().ok_or_else(outside)?
        };
        if target.is_empty() && !self.wrapped {
            return Ok("#".to_owned());
        }
        match self.schema.pointer(&target) {
            Some(Value::Object(_) | Value::Bool(_)) => {}
            _ => return Err(outside()),
        }
        let wanted = match target.rsplit('/').next() {
            Some("") | None => ROOT_DEFINITION.to_owned(),
            Some(last) => last.replace("~1", "/").replace("~0", "~"),
        };
        Ok(reference(&self.name(&target, &wanted)))
    }

    fn rewrite(&mut self, node: &Value, at: &str, depth: usize) -> Result<Value> {
        self.count(at, depth)?;
        let node = match node {
            Value::Object(node) => node,
            Value::Bool(true) => return Ok(json!({})),
            _ => return Ok(json!({"not": {}})),
        };
        let mut rewritten = Map::new();
        for (keyword, value) in node {
            let here = below(at, keyword);
            match keyword.as_str() {
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    let text = value.as_str().unwrap_or_default();
                    let text = self.reference(text, at)?;
                    rewritten.insert("$ref".to_owned(), Value::String(text));
                }
                // References to them are rewritten.
                "$anchor" | "$defs" | "$dynamicAnchor" | "$id" | "$recursiveAnchor" | "$schema"
                | "definitions" => {}
                "items" if value.is_array() => {
                    let list = self.list(value, &here, depth)?;
                    rewritten.insert("prefixItems".to_owned(), list);
                    if let Some(rest) = node.get("additionalItems") {
                        let rest = self.rewrite(rest, &below(at, "additionalItems"), depth + 1)?;
                        rewritten.insert("items".to_owned(), rest);
                    }
                }
                "additionalItems" => {}
                "dependencies" => self.dependencies(value, &here, depth, &mut rewritten)?,
                "minimum" | "maximum" if is_exclusive(node, keyword) => {
                    rewritten.insert(exclusive(keyword).to_owned(), value.clone());
                }
                "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => {}
                _ => {
                    let value = self.value(keyword, value, &here, depth)?;
                    rewritten.insert(keyword.clone(), value);
                }
            }
        }
        Ok(Value::Object(rewritten))
    }

    fn value(&mut self, keyword: &str, value: &Value, at: &str, depth: usize) -> Result<Value> {
        match (children(keyword), value) {
            (Some(Children::One), _) => self.rewrite(value, at, depth + 1),
            (Some(Children::OneOrSwitch), Value::Object(_)) => self.rewrite(value, at, depth + 1),
            (Some(Children::List), _) => self.list(value, at, depth),
            (Some(Children::Named), Value::Object(named)) => {
                let mut rewritten = Map::new();
                for (name, child) in named {
                    let child = self.rewrite(child, &below(at, name), depth + 1)?;
                    rewritten.insert(name.clone(), child);
                }
                Ok(Value::Object(rewritten))
            }
            _ => Ok(value.clone()),
        }
    }

    fn list(&mut self, list: &Value, at: &str, depth: usize) -> Result<Value> {
        let list = list.as_array().into_iter().flatten().enumerate();
        let list =
            list.map(|(index, child)| self.rewrite(child, &format!("{at}/{index}"), depth + 1));
        list.collect::<Result<Vec<_>>>().map(Value::Array)
    }

    /// Splits `dependencies` of older drafts into the two keywords that replaced it.
    fn dependencies(
        &mut self,
        value: &Value,
        at: &str,
        depth: usize,
        rewritten: &mut Map<String, Value>,
    ) -> Result<()> {
        let (mut names, mut schemas) = (Map::new(), Map::new());
        for (name, child) in value.as_object().into_iter().flatten() {
            if child.is_array() {
                names.insert(name.clone(), child.clone());
            } else {
                let child = self.rewrite(child, &below(at, name), depth + 1)?;
                schemas.insert(name.clone(), child);
            }
        }
        for (keyword, children) in [("dependentRequired", names), ("dependentSchemas", schemas)] {
            if !children.is_empty() {
                rewritten.insert(keyword.to_owned(), Value::Object(children));
            }
        }
        Ok(())
    }
}

/// The start of a location.
fn shortened(location: &str) -> &str {
    let mut end = location.len().min(MAX_LOCATION / 16);
    while !location.is_char_boundary(end) {
        end -= 1;
    }
    &location[..end]
}

/// Whether the limit in `keyword` is exclusive by a boolean, as in draft 4.
fn is_exclusive(node: &Map<String, Value>, keyword: &str) -> bool {
    node.get(exclusive(keyword)) == Some(&Value::Bool(true))
}

fn exclusive(keyword: &str) -> &'static str {
    match keyword {
        "minimum" => "exclusiveMinimum",
        _ => "exclusiveMaximum",
    }
}

fn check_keywords(node: &Map<String, Value>, at: &str) -> Result<()> {
    for (keyword, value) in node {
        let is_right = match keyword.as_str() {
            "type" => match value {
                Value::String(one) => TYPES.contains(&one.as_str()),
                Value::Array(many) => {
                    let is_type =
                        |one: &Value| one.as_str().is_some_and(|one| TYPES.contains(&one));
                    !many.is_empty() && many.iter().all(is_type)
                }
                _ => false,
            },
            "required" => match value {
                Value::Array(names) => names.iter().all(Value::is_string),
                _ => false,
            },
            "enum" => value.is_array(),
            "$ref" | "$dynamicRef" | "$recursiveRef" | "pattern" | "format" => value.is_string(),
            "minimum" | "maximum" => value.is_number(),
            "exclusiveMinimum" | "exclusiveMaximum" => value.is_number() || value.is_boolean(),
            "multipleOf" => value.as_f64().is_some_and(|number| number > 0.0),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" => value.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0),
            _ => true,
        };
        if !is_right {
            return Err(Problem::new(&below(at, keyword), "is malformed"));
        }
    }
    Ok(())
}
