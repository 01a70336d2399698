//! A schema as a graph: each subschema with those that apply to the same value and to its parts.

use std::collections::{HashMap, HashSet};

use jsonschema::{Draft, Registry};
use referencing::Resolver;
use serde_json::{Map, Value};

use super::pattern::{COST_PER_STEP, Patterns};
use super::tagged::{self, Selected};
use crate::schema::prepare::TranslatedPatterns;
use crate::schema::shorten::shorten;

/// The index of a subschema.
pub(super) type Id = usize;

/// The way in which a subschema is applied to the same value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Applied {
    /// Its problems are problems of the value.
    Always,
    /// Checked first. If no alternative fits, the problems of all are collected.
    Alternative,
    /// Only checked.
    Test,
}

/// A subschema.
#[derive(Default)]
pub(super) struct Node {
    /// Steps for the keywords that do not depend on the size of the value.
    pub(super) own_steps: u64,
    /// Steps per byte of text, times [`COST_PER_STEP`].
    pub(super) text_cost: u64,
    /// Steps of `multipleOf` with a number.
    pub(super) division_steps: u64,
    /// Steps of `multipleOf` with a number of up to 300 digits.
    pub(super) long_division_steps: u64,
    pub(super) unique_items: bool,
    pub(super) in_place: Vec<(Applied, Id)>,
    /// Those of `in_place` among which the library selects by the text of a property.
    pub(super) selected: HashMap<Id, Selected>,
    /// Those of `in_place` that are references.
    pub(super) references: Vec<Id>,
    /// Applied to the same value if that has the property.
    pub(super) dependent: Vec<(Box<str>, Id)>,
    pub(super) properties: HashMap<Box<str>, Id>,
    /// Steps of copying the names of `properties`.
    pub(super) names_steps: u64,
    /// Each with the cost of its pattern per byte, times [`COST_PER_STEP`].
    pub(super) patterns: Vec<(u64, Id)>,
    pub(super) additional_properties: Option<Id>,
    pub(super) property_names: Option<Id>,
    /// Applied to the item with the same index.
    pub(super) prefix_items: Vec<(usize, Id)>,
    /// Counted for every item, though the library skips those with a schema of their own.
    pub(super) items: Option<Id>,
    pub(super) contains: Option<Id>,
    pub(super) unevaluated_properties: Option<Id>,
    pub(super) unevaluated_items: Option<Id>,
}

impl Node {
    /// Whether the library must find out which parts of the value other keywords apply to.
    pub(super) fn tracks_evaluated(&self) -> bool {
        self.unevaluated_properties.is_some() || self.unevaluated_items.is_some()
    }

    /// The subschemas in this one that apply to the same value.
    pub(super) fn inline(&self) -> impl Iterator<Item = Id> {
        let ids = self.in_place.iter().map(|(_, id)| *id);
        ids.filter(|id| !self.references.contains(id))
    }

    /// The subschemas in this one that apply to items and to members other than `properties`.
    pub(super) fn parts(&self) -> impl Iterator<Item = Id> {
        let patterns = self.patterns.iter().map(|(_, id)| *id);
        let prefix = self.prefix_items.iter().map(|(_, id)| *id);
        let others = [
            self.additional_properties,
            self.items,
            self.contains,
            self.unevaluated_properties,
            self.unevaluated_items,
        ];
        patterns.chain(prefix).chain(others.into_iter().flatten())
    }
}

/// All subschemas that can be applied. The first one is the schema itself.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// The most dynamic scopes in which the library compiles one subschema.
    pub(super) max_scopes: u64,
}

impl Graph {
    /// # Errors
    ///
    /// A reference or a pattern that is not supported, with its place.
    pub(super) fn new(
        schema: &Value,
        draft: Draft,
        patterns: &TranslatedPatterns,
    ) -> Result<Self, String> {
        let resource = draft.create_resource_ref(schema);
        let base = resource.id().unwrap_or_default().trim_end_matches('#');
        let base = jsonschema::uri::from_str(base).map_err(|error| format!("/$id: {error}"))?;
        let registry = Registry::new()
            .retriever(NoRetriever)
            .draft(draft)
            .add(base.as_str(), resource)
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| format!("invalid reference: {error}"))?;
        let mut builder = Builder {
            is_draft_4: draft == Draft::Draft4,
            plain_root: (draft == Draft::Draft202012 && tagged::is_plain(schema)).then_some(schema),
            patterns: Some(Patterns::new(patterns)),
            ..Builder::default()
        };
        let root = builder.node(schema, registry.resolver(base), draft, String::new())?;
        debug_assert_eq!(root, 0);
        builder.finish()
    }
}

/// Refuses every document but the schema itself.
struct NoRetriever;

impl jsonschema::Retrieve for NoRetriever {
    fn retrieve(
        &self,
        _: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("a schema may refer only to its own parts".into())
    }
}

/// A subschema of which the keywords were not read yet.
struct Unread<'s> {
    id: Id,
    schema: &'s Map<String, Value>,
    resolver: Resolver<'s>,
    draft: Draft,
    /// A JSON pointer, or the reference that led here and a pointer.
    place: String,
}

#[derive(Default)]
struct Builder<'s> {
    nodes: Vec<Node>,
    /// By the address of the subschema and its base.
    ids: HashMap<(*const Value, String), Id>,
    unread: Vec<Unread<'s>>,
    patterns: Option<Patterns<'s>>,
    is_draft_4: bool,
    /// The schema, if its references and keywords have their usual meaning everywhere.
    plain_root: Option<&'s Value>,
    /// The bases of all subschemas: one, unless a part of the schema has an `$id`.
    bases: HashSet<String>,
    /// References from one base to another.
    crossings: u64,
    /// Subschemas that were found by a reference.
    referenced: usize,
}

impl<'s> Builder<'s> {
    /// The index of `schema`, which is read later.
    fn node(
        &mut self,
        schema: &'s Value,
        resolver: Resolver<'s>,
        draft: Draft,
        place: String,
    ) -> Result<Id, String> {
        let base = resolver.base_uri().as_str().to_owned();
        let key = (std::ptr::from_ref(schema), base.clone());
        if let Some(id) = self.ids.get(&key) {
            return Ok(*id);
        }
        let detected = draft.detect(schema);
        // Draft 4 has another keyword for `$id`.
        if (detected == Draft::Draft4) != self.is_draft_4 {
            return Err(format!(
                "{place}/$schema: unsupported draft: draft 4 cannot be mixed with other drafts"
            ));
        }
        let draft = match detected {
            Draft::Unknown => draft,
            known => known,
        };
        self.bases.insert(base);
        let id = self.nodes.len();
        self.nodes.push(Node {
            own_steps: 1,
            ..Node::default()
        });
        self.ids.insert(key, id);
        if let Value::Object(schema) = schema {
            self.unread.push(Unread {
                id,
                schema,
                resolver,
                draft,
                place,
            });
        }
        Ok(id)
    }

    fn finish(mut self) -> Result<Graph, String> {
        while let Some(unread) = self.unread.pop() {
            let node = self.read(&unread)?;
            self.nodes[unread.id] = node;
        }
        Ok(Graph {
            max_scopes: self.max_scopes(),
            nodes: self.nodes,
        })
    }

    /// A dynamic scope is the base of the first reference, followed by the bases of the references that
    /// led to another base, each of them once.
    fn max_scopes(&self) -> u64 {
        if self.bases.len() == 1 {
            return 1;
        }
        let sequences = (1..=self.crossings).fold(1, u64::saturating_mul);
        sequences.saturating_mul(self.bases.len() as u64 + 1)
    }

    fn read(&mut self, unread: &Unread<'s>) -> Result<Node, String> {
        let mut node = Node {
            own_steps: 1,
            ..Node::default()
        };
        for (keyword, value) in unread.schema {
            let place = || format!("{}/{keyword}", unread.place);
            node.own_steps += 1;
            match keyword.as_str() {
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    if let Value::String(reference) = value {
                        // The library reads every `$recursiveRef` as "#".
                        let reference = match keyword.as_str() {
                            "$recursiveRef" => "#",
                            _ => reference,
                        };
                        let id = self.reference(unread, reference).map_err(|reason| {
                            format!("{}: {}", place(), shorten(&reason, MAX_REASON_CHARS))
                        })?;
                        node.in_place.push((Applied::Always, id));
                        node.references.push(id);
                    }
                }
                "allOf" => self.list(unread, keyword, value, |id| {
                    node.in_place.push((Applied::Always, id));
                })?,
                "anyOf" | "oneOf" => {
                    let first = node.in_place.len();
                    self.list(unread, keyword, value, |id| {
                        node.in_place.push((Applied::Alternative, id));
                    })?;
                    if let (Some(root), Value::Array(alternatives)) = (self.plain_root, value)
                        && let Some(selected) = tagged::select(root, alternatives)
                    {
                        let ids = node.in_place[first..].iter().map(|(_, id)| *id);
                        let selected = ids.zip(selected).filter_map(|(id, tag)| Some((id, tag?)));
                        node.selected.extend(selected);
                    }
                }
                "then" | "else" => {
                    let id = self.child(unread, value, place())?;
                    node.in_place.push((Applied::Always, id));
                }
                "if" | "not" => {
                    // A problem with `not` holds a copy of its schema.
                    node.own_steps += size_steps(value);
                    let id = self.child(unread, value, place())?;
                    node.in_place.push((Applied::Test, id));
                }
                "dependentSchemas" | "dependencies" => {
                    self.named(unread, keyword, value, |name, id| {
                        node.dependent.push((name.into(), id));
                    })?;
                    node.own_steps += size_steps(value);
                }
                "properties" => {
                    self.named(unread, keyword, value, |name, id| {
                        node.properties.insert(name.into(), id);
                    })?;
                    node.own_steps += node.properties.len() as u64 / 4;
                    node.names_steps = node
                        .properties
                        .keys()
                        .map(|name| 1 + name.len() as u64 / 64)
                        .sum();
                }
                "patternProperties" => {
                    let mut ids = Vec::new();
                    self.named(unread, keyword, value, |name, id| ids.push((name, id)))?;
                    for (pattern, id) in ids {
                        let cost = self.pattern(pattern, &place())?;
                        node.patterns.push((cost, id));
                    }
                }
                "additionalProperties" => {
                    node.additional_properties = Some(self.child(unread, value, place())?);
                }
                "propertyNames" => {
                    node.property_names = Some(self.child(unread, value, place())?);
                }
                "items" | "prefixItems" if value.is_array() => {
                    let mut ids = Vec::new();
                    self.list(unread, keyword, value, |id| ids.push(id))?;
                    node.prefix_items.extend(ids.into_iter().enumerate());
                }
                "items" => node.items = Some(self.child(unread, value, place())?),
                "additionalItems" if unread.schema.get("items").is_some_and(Value::is_array) => {
                    node.items = Some(self.child(unread, value, place())?);
                }
                "contains" => node.contains = Some(self.child(unread, value, place())?),
                "unevaluatedProperties" => {
                    node.unevaluated_properties = Some(self.child(unread, value, place())?);
                }
                "unevaluatedItems" => {
                    node.unevaluated_items = Some(self.child(unread, value, place())?);
                }
                "enum" | "const" | "required" | "dependentRequired" => {
                    node.own_steps += size_steps(value);
                }
                "minLength" | "maxLength" => node.text_cost += COST_PER_STEP / 32,
                "format" => node.text_cost += COST_PER_STEP / 8,
                "pattern" => {
                    if let Value::String(pattern) = value {
                        node.text_cost += self.pattern(pattern, &place())?;
                    }
                }
                "multipleOf" => {
                    (node.division_steps, node.long_division_steps) = division_steps(value);
                }
                "uniqueItems" => node.unique_items = true,
                _ => {}
            }
        }
        Ok(node)
    }

    fn child(
        &mut self,
        parent: &Unread<'s>,
        schema: &'s Value,
        place: String,
    ) -> Result<Id, String> {
        let resolver = parent
            .resolver
            .in_subresource(parent.draft.detect(schema).create_resource_ref(schema))
            .map_err(|error| format!("{place}/$id: {error}"))?;
        self.node(schema, resolver, parent.draft, place)
    }

    fn list(
        &mut self,
        parent: &Unread<'s>,
        keyword: &str,
        schemas: &'s Value,
        mut add: impl FnMut(Id),
    ) -> Result<(), String> {
        for (index, schema) in schemas.as_array().into_iter().flatten().enumerate() {
            add(self.child(
                parent,
                schema,
                format!("{}/{keyword}/{index}", parent.place),
            )?);
        }
        Ok(())
    }

    fn named(
        &mut self,
        parent: &Unread<'s>,
        keyword: &str,
        schemas: &'s Value,
        mut add: impl FnMut(&'s str, Id),
    ) -> Result<(), String> {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            // With `dependencies`, a list of names is not a schema.
            if !schema.is_array() {
                let place = format!("{}/{keyword}/{}", parent.place, escape(name));
                add(name, self.child(parent, schema, place)?);
            }
        }
        Ok(())
    }

    fn reference(&mut self, from: &Unread<'s>, reference: &str) -> Result<Id, String> {
        let resolved = from
            .resolver
            .lookup(reference)
            .map_err(|error| format!("invalid reference '{reference}': {error}"))?;
        let (schema, resolver, draft) = resolved.into_inner();
        // The library has the meta-schemas, with dynamic references that the budget cannot follow.
        if is_meta_schema(resolver.base_uri().as_str()) {
            return Err(format!(
                "unsupported reference '{reference}': a schema may refer only to its own parts"
            ));
        }
        let base = from.resolver.base_uri();
        let document = reference.split('#').next().unwrap_or_default();
        let document = from.resolver.resolve_uri(&base.borrow(), document);
        if resolver.base_uri() != base || document.is_ok_and(|document| document != base) {
            self.crossings += 1;
        }
        let known = self.nodes.len();
        let id = self.node(schema, resolver, draft, reference.to_owned())?;
        self.referenced += self.nodes.len() - known;
        if self.referenced > MAX_REFERENCED {
            return Err(format!(
                "schema too large: references to at most {MAX_REFERENCED} subschemas are allowed"
            ));
        }
        Ok(id)
    }

    fn pattern(&mut self, pattern: &str, place: &str) -> Result<u64, String> {
        let Some(patterns) = &mut self.patterns else {
            return Ok(0);
        };
        patterns.cost_per_byte(pattern).map_err(|reason| {
            let pattern = shorten(patterns.original(pattern), MAX_REASON_CHARS);
            format!("{place}: invalid pattern '{pattern}': {reason}")
        })
    }
}

/// Steps of dividing a number by `divisor`, and a number of up to 300 digits.
fn division_steps(divisor: &Value) -> (u64, u64) {
    const WITH_LONG_INTEGERS: u64 = 200;
    match divisor.as_f64() {
        Some(number) if number.fract() == 0.0 => (0, WITH_LONG_INTEGERS / 10),
        Some(number) if number > 1e-6 && divisor.to_string().len() <= 12 => (4, WITH_LONG_INTEGERS),
        _ => (WITH_LONG_INTEGERS, WITH_LONG_INTEGERS),
    }
}

/// Subschemas that are found by a reference. The library takes up to 25 µs to compile one.
const MAX_REFERENCED: usize = 3_000;

/// Characters of a part of the schema in a reason.
const MAX_REASON_CHARS: usize = 100;

fn is_meta_schema(uri: &str) -> bool {
    let rest = uri
        .strip_prefix("https://")
        .or_else(|| uri.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.starts_with("json-schema.org/"))
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Steps of comparing a value with `data`, or of copying it.
fn size_steps(data: &Value) -> u64 {
    let mut steps = 0;
    let mut stack = vec![data];
    while let Some(value) = stack.pop() {
        steps += 1;
        match value {
            Value::String(text) => steps += text.len() as u64 / 64,
            Value::Array(items) => stack.extend(items),
            Value::Object(members) => {
                steps += members.keys().map(|key| key.len() as u64 / 64).sum::<u64>();
                stack.extend(members.values());
            }
            _ => {}
        }
    }
    steps / 2
}
