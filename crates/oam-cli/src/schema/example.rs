//! An example of the values that a schema describes.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use openagentmesh::Contract;
use openagentmesh::protocol::InvalidName;
use openagentmesh::protocol::{self, AgentName, Capabilities};
use serde_json::{Map, Value};

use super::node::{Node, Root, Type};
use super::number::Range;
use super::string;

/// Levels of an example below which it has required members only.
const MAX_FULL_DEPTH: usize = 5;

/// Levels of an example: a recursive type may have no end.
const MAX_DEPTH: usize = 24;

/// Items and members for a lower limit.
const MAX_ITEMS: u64 = 1_000;

/// The size of all copied values and texts.
const MAX_BYTES: usize = 256 * 1024;

/// Alternatives that are tried before the first one that fits.
const MAX_PICKS: usize = 4;

/// Alternatives of an optional member that may lead back to an object around it.
const MAX_ALTERNATIVES: usize = 20;

/// A longer input is not part of a suggested command if a shorter one is valid.
const MAX_COMMAND_BYTES: usize = 160;

/// A value that a schema describes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Example {
    pub(crate) value: Value,
    /// The reason why the value is not valid; `None` for a valid one. Some schemas take more than an example can
    /// guess, such as `not`.
    pub(crate) problem: Option<String>,
}

/// An input with all fields of `schema` that is valid, or a best effort.
pub(crate) fn example(schema: &Value) -> Value {
    Example::full(schema).value
}

/// An input for a command line: with all fields if that is short, else with the required ones.
pub(crate) fn command_input(schema: &Value) -> Example {
    let full = Example::full(schema);
    if full.problem.is_none() && full.value.to_string().len() <= MAX_COMMAND_BYTES {
        return full;
    }
    Example::short(schema)
}

impl Example {
    /// An example with all fields.
    pub(crate) fn full(schema: &Value) -> Self {
        Self::find(schema, [true, false])
    }

    /// An example with the required fields.
    pub(crate) fn short(schema: &Value) -> Self {
        Self::find(schema, [false, true])
    }

    fn find(schema: &Value, fullness: [bool; 2]) -> Self {
        let contract = contract(schema);
        let mut first = None;
        let root = Root::new(schema);
        for is_full in fullness {
            for uses_examples in [true, false] {
                for pick in 0..MAX_PICKS {
                    let sampler = Sampler {
                        root: &root,
                        is_full,
                        uses_examples,
                        pick,
                        bytes_left: Cell::new(MAX_BYTES),
                        active: RefCell::new(Vec::new()),
                    };
                    let Some(value) = sampler.sample(&root.node(&[schema]), 0, 0) else {
                        continue;
                    };
                    let problem = match &contract {
                        Ok(contract) => contract
                            .validate(&value)
                            .err()
                            .map(|error| error.message().to_owned()),
                        Err(reason) => Some(reason.to_string()),
                    };
                    let is_valid = problem.is_none();
                    let found = Self { value, problem };
                    if is_valid {
                        return found;
                    }
                    first.get_or_insert(found);
                }
            }
        }
        first.unwrap_or_else(|| Self {
            value: Value::Null,
            problem: Some(
                "no example found: the schema takes more than its keywords say".to_owned(),
            ),
        })
    }
}

/// A contract whose input has `schema`: the SDK validates inputs of contracts.
fn contract(schema: &Value) -> Result<Contract, InvalidName> {
    Ok(Contract::from(protocol::Contract {
        name: AgentName::new("example")?,
        description: String::new(),
        version: String::new(),
        tags: Vec::new(),
        capabilities: Capabilities::default(),
        input_schema: Some(schema.clone()),
        output_schema: None,
        chunk_schema: None,
        registered_at: None,
        mcp: None,
        idempotent: false,
    }))
}

/// One way to make an example.
struct Sampler<'r, 's> {
    root: &'r Root<'s>,
    /// Whether members that may be absent are there.
    is_full: bool,
    /// Whether the examples and defaults of the schema are used.
    uses_examples: bool,
    /// The alternative of a union that is tried first.
    pick: usize,
    bytes_left: Cell<usize>,
    /// The parts of the objects around the current value.
    active: RefCell<Vec<*const Map<String, Value>>>,
}

impl<'s> Sampler<'_, 's> {
    /// The `nth` value of `node`; `None` if it takes more to find one.
    fn sample(&self, node: &Node<'s>, depth: usize, nth: usize) -> Option<Value> {
        if depth > MAX_DEPTH || node.is_never || !self.root.charge(1) || !self.take_bytes(1) {
            return None;
        }
        if self.uses_examples
            && let Some(value) = self.given(node, nth)
        {
            return Some(value);
        }
        if let Some(value) = node.get("const") {
            return self.copy(value);
        }
        if node.get("enum").is_some() {
            return self.constant(node, nth);
        }
        if let Some(union) = node.unions.first() {
            return self.alternative(node, union, depth, nth);
        }
        let types = node.types();
        if types.is_empty() {
            return string::text(node, nth).map(Value::String);
        }
        let (nulls, others): (Vec<Type>, Vec<Type>) =
            types.into_iter().partition(|one| *one == Type::Null);
        others
            .into_iter()
            .chain(nulls)
            .find_map(|one| self.typed(node, one, depth, nth))
    }

    /// The example or the default of the schema itself.
    fn given(&self, node: &Node<'s>, nth: usize) -> Option<Value> {
        let listed = node
            .get("examples")
            .and_then(Value::as_array)
            .and_then(|values| values.get(nth));
        let first = [
            node.get("example"),
            node.get("default")
                .filter(|default| is_informative(default)),
        ];
        let first = first.into_iter().flatten().next().filter(|_| nth == 0);
        self.copy(listed.or(first)?)
    }

    /// The `nth` value that all lists of constants have.
    fn constant(&self, node: &Node<'s>, nth: usize) -> Option<Value> {
        let lists: Vec<&[Value]> = node
            .all("enum")
            .filter_map(Value::as_array)
            .map(Vec::as_slice)
            .collect();
        let (first, others) = lists.split_first()?;
        if !self.root.charge(first.len()) {
            return None;
        }
        let is_in_all = |value: &&Value| {
            others
                .iter()
                .all(|list| self.root.charge(list.len()) && list.contains(value))
        };
        let (nulls, values): (Vec<&Value>, Vec<&Value>) = first
            .iter()
            .filter(is_in_all)
            .partition(|value| value.is_null());
        match values.len() {
            0 => self.copy(nulls.first()?),
            count => self.copy(values.get(nth % count)?),
        }
    }

    /// A value of the first alternative that has one; `null` comes last, unless the value is deep.
    fn alternative(
        &self,
        node: &Node<'s>,
        union: &'s [Value],
        depth: usize,
        nth: usize,
    ) -> Option<Value> {
        let is_null =
            |alternative: &&Value| alternative.get("type").is_some_and(|name| name == "null");
        let (nulls, others): (Vec<&Value>, Vec<&Value>) = union.iter().partition(is_null);
        let shift = self.pick % others.len().max(1);
        let (before, after) = others.split_at(shift);
        let others = after.iter().chain(before);
        let try_all = |alternatives: Vec<&'s Value>| {
            alternatives.into_iter().find_map(|alternative| {
                let chosen = self.root.choose(node, 0, alternative);
                self.sample(&chosen, depth + 1, nth)
            })
        };
        match depth > MAX_FULL_DEPTH {
            true => try_all(nulls).or_else(|| try_all(others.copied().collect())),
            false => try_all(others.copied().collect()).or_else(|| try_all(nulls)),
        }
    }

    fn typed(&self, node: &Node<'s>, of_type: Type, depth: usize, nth: usize) -> Option<Value> {
        match of_type {
            Type::Null => Some(Value::Null),
            Type::Boolean => Some(Value::Bool(nth.is_multiple_of(2))),
            Type::Integer => Some(Value::Number(Range::of(node).integer(nth))),
            Type::Number => Some(Value::Number(Range::of(node).number(nth))),
            Type::String => {
                let text = string::text(node, nth)
                    .or_else(|| Some("string".to_owned()).filter(|_| self.pick > 0))?;
                self.take_bytes(text.len()).then_some(Value::String(text))
            }
            Type::Array => self.items(node, depth, nth),
            Type::Object => self.members(node, depth, nth),
        }
    }

    fn items(&self, node: &Node<'s>, depth: usize, nth: usize) -> Option<Value> {
        let least = node.at_least("minItems");
        let most = node.at_most("maxItems").unwrap_or(u64::MAX);
        if least > MAX_ITEMS {
            return None;
        }
        let mut items = Vec::new();
        for schema in node.prefix() {
            if items.len() as u64 >= most {
                break;
            }
            items.push(self.sample(&self.root.node(&[schema]), depth + 1, nth)?);
        }
        if let Some(contained) = node.get("contains") {
            let contained = self.root.node(&[contained]);
            for index in 0..node.at_least("minContains").clamp(1, MAX_ITEMS) {
                items.push(self.sample(&contained, depth + 1, usize::try_from(index).ok()?)?);
            }
        }
        let item = self.root.node(&node.items());
        let is_circle = self.is_circle(&item);
        let is_full = self.is_full(depth)
            && items.is_empty()
            && most > 0
            && !is_circle
            && !node.items().is_empty();
        let wanted = least.max(u64::from(is_full));
        let is_unique = node.get("uniqueItems") == Some(&Value::Bool(true));
        let mut next = nth;
        while (items.len() as u64) < wanted {
            match self.sample(&item, depth + 1, if is_unique { next } else { nth }) {
                Some(value) => items.push(value),
                None if least > items.len() as u64 => return None,
                None => break,
            }
            next += 1;
        }
        Some(Value::Array(items))
    }

    fn members(&self, node: &Node<'s>, depth: usize, nth: usize) -> Option<Value> {
        let outer = self.active.borrow().len();
        self.active.borrow_mut().extend(node.identity());
        let members = self.object(node, depth, nth);
        self.active.borrow_mut().truncate(outer);
        members
    }

    fn object(&self, node: &Node<'s>, depth: usize, nth: usize) -> Option<Value> {
        let least = usize::try_from(node.at_least("minProperties").min(MAX_ITEMS)).ok()?;
        let mut members = Map::new();
        let mut optional = Vec::new();
        let mut missing = self.required(node);
        for (name, schemas) in node.properties(self.root) {
            let property = self.root.node(&schemas);
            let is_required = missing.remove(name);
            if is_required {
                members.insert(name.to_owned(), self.sample(&property, depth + 1, nth)?);
                continue;
            }
            let alternatives = property.unions.iter().copied().flatten();
            let is_circle = self.is_circle(&property)
                || alternatives
                    .take(MAX_ALTERNATIVES)
                    .any(|one| self.is_circle(&self.root.node(&[one])));
            if self.is_full(depth) && !is_circle {
                if let Some(value) = self.sample(&property, depth + 1, nth) {
                    members.insert(name.to_owned(), value);
                }
            } else {
                optional.push((name, property));
            }
        }
        let mut missing: Vec<&str> = missing.into_iter().collect();
        missing.sort_unstable();
        for name in missing {
            if !self.take_bytes(name.len()) {
                return None;
            }
            members.insert(
                name.to_owned(),
                self.sample(&self.root.node(&node.others()), depth + 1, nth)?,
            );
        }
        for (name, property) in optional {
            if members.len() >= least {
                break;
            }
            if let Some(value) = self.sample(&property, depth + 1, nth) {
                members.insert(name.to_owned(), value);
            }
        }
        let others = self.root.node(&node.others());
        let has_others = !node.others().is_empty() || node.get("patternProperties").is_some();
        let is_map =
            has_others && members.is_empty() && self.is_full(depth) && !self.is_circle(&others);
        let least = least.max(usize::from(
            is_map && node.at_most("maxProperties") != Some(0),
        ));
        let mut next = 0;
        while members.len() < least {
            let (name, schemas) = self.other(node, depth, next)?;
            let value = self.sample(&self.root.node(&schemas), depth + 1, nth);
            match value {
                Some(value) => drop(members.insert(name, value)),
                None if is_map && next == 0 => break,
                None => return None,
            }
            next += 1;
            if next > 2 * least {
                return None;
            }
        }
        Some(Value::Object(members))
    }

    /// The required names, and those that they require.
    fn required(&self, node: &Node<'s>) -> HashSet<&'s str> {
        let mut required = node.required(self.root);
        for keyword in ["dependentRequired", "dependencies"] {
            for dependent in node.all(keyword).filter_map(Value::as_object) {
                for (name, names) in dependent {
                    if required.contains(name.as_str()) || self.is_full {
                        let names = names.as_array().into_iter().flatten();
                        let names = names.take_while(|_| self.root.charge(1));
                        required.extend(names.filter_map(Value::as_str));
                    }
                }
            }
        }
        required
    }

    /// The `nth` member without a schema of its own: its name, and the schemas of the others.
    fn other(&self, node: &Node<'s>, depth: usize, nth: usize) -> Option<(String, Vec<&'s Value>)> {
        if let Some(names) = node.get("propertyNames") {
            return match self.sample(&self.root.node(&[names]), depth + 1, nth)? {
                Value::String(name) => Some((name, node.others())),
                _ => None,
            };
        }
        let mut patterns = node
            .all("patternProperties")
            .filter_map(Value::as_object)
            .flatten();
        if let Some((pattern, schema)) = patterns.next() {
            let name = string::matching(pattern, 0, usize::MAX, nth)?;
            return Some((name, vec![schema]));
        }
        let name = match nth {
            0 => "key".to_owned(),
            nth => format!("key{}", nth + 1),
        };
        Some((name, node.others()))
    }

    /// Whether the value contains itself.
    fn is_circle(&self, node: &Node<'s>) -> bool {
        let active = self.active.borrow();
        node.identity().any(|part| active.contains(&part))
    }

    fn is_full(&self, depth: usize) -> bool {
        self.is_full && depth <= MAX_FULL_DEPTH
    }

    fn copy(&self, value: &Value) -> Option<Value> {
        self.take_size(value).then(|| value.clone())
    }

    /// Takes the size of a value from the limit; false if too little is left.
    fn take_size(&self, value: &Value) -> bool {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            let size = match value {
                Value::String(text) => text.len(),
                _ => 8,
            };
            if !self.take_bytes(size) {
                return false;
            }
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(members) => {
                    for (name, member) in members {
                        if !self.take_bytes(name.len()) {
                            return false;
                        }
                        open.push(member);
                    }
                }
                _ => {}
            }
        }
        true
    }

    fn take_bytes(&self, bytes: usize) -> bool {
        let left = self.bytes_left.get().checked_sub(bytes);
        self.bytes_left.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Whether a default shows more than that the member may be absent.
fn is_informative(default: &Value) -> bool {
    match default {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}
