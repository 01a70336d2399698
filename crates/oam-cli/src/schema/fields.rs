//! The fields of a value, one row each.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::kind::{Kind, json, one_line};
use super::node::{Node, Root};

/// Rows of one schema. The rest is counted.
const MAX_ROWS: usize = 200;

/// Levels of nested fields.
const MAX_DEPTH: usize = 8;

/// A longer name is truncated.
const MAX_NAME_CHARS: usize = 120;

/// A longer description is truncated.
const MAX_DESCRIPTION_CHARS: usize = 500;

/// Alternatives whose fields are listed.
const MAX_ALTERNATIVES: usize = 50;

/// The fields of a value.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) rows: Vec<Field>,
    /// Whether there are more fields than rows.
    pub(crate) is_truncated: bool,
}

/// A field of an object, at any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The path: names with dots between them, `[]` for the items of an array, `*` for any name. Empty for the value
    /// itself.
    pub(crate) name: String,
    /// The type in words, as in "integer ≥ 1".
    pub(crate) kind: String,
    /// Whether the field must be in its object.
    pub(crate) required: bool,
    /// Whether only some alternatives have the field, which the description names.
    pub(crate) is_conditional: bool,
    /// The default as JSON.
    pub(crate) default: Option<String>,
    pub(crate) description: String,
}

/// The fields of the values that `schema` describes, parents first. A value that is not an object has a row with an empty
/// name. Texts are on one line and truncated; fields beyond 200 rows or 8 levels are left out.
pub(crate) fn fields(schema: &Value) -> Fields {
    let root = Root::new(schema);
    let node = root.node(&[schema]);
    let mut walk = Walk {
        root: &root,
        rows: Vec::new(),
        is_truncated: false,
        active: Vec::new(),
    };
    walk.add(String::new(), &node, true);
    walk.inside("", &node, 0);
    // The row of an object says nothing that its fields do not say.
    if walk.rows.len() > 1
        && walk
            .rows
            .first()
            .is_some_and(|row| row.kind.in_words() == "object")
    {
        walk.rows.remove(0);
    }
    Fields {
        rows: walk.rows.into_iter().map(Row::into_field).collect(),
        is_truncated: walk.is_truncated,
    }
}

/// A field whose type may become that of several alternatives.
#[derive(Clone)]
struct Row {
    name: String,
    kind: Kind,
    required: bool,
    default: Option<String>,
    description: String,
    /// The alternatives that have the field, if not all do.
    condition: Option<Condition>,
}

/// The constants of a field that tells alternatives apart.
#[derive(Clone)]
struct Condition {
    field: String,
    values: Vec<String>,
}

impl Row {
    fn into_field(self) -> Field {
        let is_conditional = self.condition.is_some();
        let condition = self
            .condition
            .map(|Condition { field, values }| format!("if {field} is {}", values.join("|")));
        Field {
            kind: self.kind.in_words(),
            name: self.name,
            required: self.required,
            is_conditional,
            default: self.default,
            description: match (condition, self.description) {
                (None, description) => description,
                (Some(condition), description) if description.is_empty() => condition,
                (Some(condition), description) => format!("{condition}: {description}"),
            },
        }
    }
}

struct Walk<'r, 's> {
    root: &'r Root<'s>,
    rows: Vec<Row>,
    is_truncated: bool,
    /// The parts that contain the current one.
    active: Vec<*const Map<String, Value>>,
}

impl<'s> Walk<'_, 's> {
    /// A walk for rows that are merged into those of this one.
    fn inner(&self) -> Self {
        Self {
            root: self.root,
            rows: Vec::new(),
            is_truncated: false,
            active: self.active.clone(),
        }
    }

    fn add(&mut self, name: String, node: &Node<'s>, required: bool) {
        self.rows.push(Row {
            name,
            kind: Kind::of(self.root, node),
            required,
            default: node.get("default").map(json),
            description: one_line(
                node.text("description").unwrap_or(""),
                MAX_DESCRIPTION_CHARS,
            ),
            condition: None,
        });
    }

    /// Whether another row may be added.
    fn has_room(&mut self) -> bool {
        let has_room = self.rows.len() < MAX_ROWS && self.root.charge(1);
        self.is_truncated |= !has_room;
        has_room
    }

    /// Adds the fields inside of a value at `path`.
    fn inside(&mut self, path: &str, node: &Node<'s>, depth: usize) {
        if node.identity().next().is_none() {
            return;
        }
        // A type that contains itself is listed once.
        if node.identity().any(|part| self.active.contains(&part)) {
            return;
        }
        if depth > MAX_DEPTH {
            self.is_truncated = true;
            return;
        }
        let outer = self.active.len();
        self.active.extend(node.identity());
        self.properties(path, node, depth);
        self.alternatives(path, node, depth);
        let items = node.items();
        if !items.is_empty() {
            self.inside(&format!("{path}[]"), &self.root.node(&items), depth + 1);
        }
        for (index, item) in node.prefix().iter().enumerate().take(MAX_ROWS) {
            if !self.root.charge(1) {
                break;
            }
            self.inside(
                &format!("{path}[{index}]"),
                &self.root.node(&[item]),
                depth + 1,
            );
        }
        let others = node.others();
        if !others.is_empty() {
            self.inside(&joined(path, "*"), &self.root.node(&others), depth + 1);
        }
        self.active.truncate(outer);
    }

    fn properties(&mut self, path: &str, node: &Node<'s>, depth: usize) {
        let required = node.required(self.root);
        for (name, schemas) in node.properties(self.root) {
            if !self.has_room() {
                return;
            }
            let property = self.root.node(&schemas);
            let path = joined(path, name);
            self.add(path.clone(), &property, required.contains(name));
            self.inside(&path, &property, depth + 1);
        }
    }

    /// Adds the fields of all alternatives. A field is required if every alternative requires it. A field of some says
    /// which, if a constant tells them apart, and is required if these require it.
    fn alternatives(&mut self, path: &str, node: &Node<'s>, depth: usize) {
        for union in &node.unions {
            let mut listed = Vec::new();
            for alternative in union.iter().take(MAX_ALTERNATIVES) {
                if !self.root.charge(1) {
                    break;
                }
                let alternative = self.root.node(&[alternative]);
                let mut inner = self.inner();
                inner.inside(path, &alternative, depth + 1);
                self.is_truncated |= inner.is_truncated;
                if !inner.rows.is_empty() {
                    listed.push((condition(path, &inner.rows), inner.rows));
                }
            }
            self.merge(path, listed);
        }
    }

    fn merge(&mut self, path: &str, alternatives: Vec<(Option<Condition>, Vec<Row>)>) {
        let count = alternatives.len();
        let known: HashSet<String> = self.rows.iter().map(|row| row.name.clone()).collect();
        // The row of each name, and the number of alternatives that have it.
        let mut places: HashMap<String, (usize, usize)> = HashMap::new();
        for (condition, rows) in alternatives {
            for mut row in rows {
                if known.contains(&row.name) {
                    continue;
                }
                let condition = condition
                    .as_ref()
                    .filter(|condition| condition.field != row.name);
                if let Some((place, times)) = places.get_mut(&row.name) {
                    *times += 1;
                    let Some(merged) = self.rows.get_mut(*place) else {
                        continue;
                    };
                    merged.kind.merge(row.kind);
                    merged.required &= row.required;
                    match (&mut merged.condition, condition) {
                        (Some(merged), Some(condition)) if merged.field == condition.field => {
                            merged.values.extend(condition.values.iter().cloned());
                        }
                        (merged, _) => *merged = None,
                    }
                    continue;
                }
                if !self.has_room() {
                    return;
                }
                row.condition = row.condition.or_else(|| condition.cloned());
                places.insert(row.name.clone(), (self.rows.len(), 1));
                self.rows.push(row);
            }
        }
        for (place, times) in places.into_values() {
            if let Some(row) = self.rows.get_mut(place) {
                if times == count {
                    row.condition = None;
                } else if row.condition.is_none() && is_direct(path, &row.name) {
                    row.required = false;
                }
            }
        }
    }
}

/// The first required constant of an alternative at `path`.
fn condition(path: &str, rows: &[Row]) -> Option<Condition> {
    let mut direct = rows.iter().filter(|row| is_direct(path, &row.name));
    let tag = direct.find(|row| row.required && row.kind.constants.len() == 1)?;
    Some(Condition {
        field: tag.name.clone(),
        values: tag.kind.constants.clone(),
    })
}

/// Whether `name` is that of a field of the object at `path`, and not of one within.
fn is_direct(path: &str, name: &str) -> bool {
    let local = name.strip_prefix(path).unwrap_or(name);
    !local.trim_start_matches('.').contains(['.', '['])
}

fn joined(path: &str, name: &str) -> String {
    let name = match name {
        "" => "\"\"".to_owned(),
        name => one_line(name, MAX_NAME_CHARS),
    };
    match path {
        "" => name,
        path => format!("{path}.{name}"),
    }
}
