//! Counting the steps of a validation without validating.

use serde_json::Value;

use super::graph::{Applied, Graph, Id, Node};
use super::pattern::COST_PER_STEP;
use super::steps::LIST_STEPS;
use super::unique;

/// Levels of the library's recursion: the levels of the value, each with its references and
/// alternatives.
const MAX_DEPTH: usize = 1_000;

/// Items up to which the library compares each with each instead of hashing them.
const COMPARED_ITEMS: u64 = 15;

/// Below this, the library divides numbers without integers of arbitrary length.
const SHORT_NUMBERS: f64 = 1e18;

/// Bytes of an array index in a path, with the slash.
const INDEX_BYTES: usize = 6;

/// The library's ways of going through a schema.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// Whether the value is valid.
    Check,
    /// The first problem.
    First,
    /// All problems.
    List,
    /// All problems of an alternative. Each holds a copy of the value.
    ListAlternative,
    /// The parts of the value that were evaluated.
    Mark,
}

/// The exceeded limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::schema) enum Exceeded {
    Steps,
    Depth,
}

/// One count.
pub(super) struct Walk<'g> {
    graph: &'g Graph,
    remaining: u64,
    deepest: usize,
    /// Bytes of the path to the current part of the value.
    path_bytes: usize,
}

impl<'g> Walk<'g> {
    pub(super) fn new(graph: &'g Graph, steps: u64) -> Self {
        Self {
            graph,
            remaining: steps,
            deepest: 0,
            path_bytes: 0,
        }
    }

    /// Returns the depth of recursion for `value`.
    pub(super) fn run(mut self, value: &Value, mode: Mode) -> Result<usize, Exceeded> {
        self.node(0, value, mode, 1)?;
        Ok(self.deepest)
    }

    fn take(&mut self, steps: u64) -> Result<(), Exceeded> {
        self.remaining = self.remaining.checked_sub(steps).ok_or(Exceeded::Steps)?;
        Ok(())
    }

    fn node(&mut self, id: Id, value: &Value, mode: Mode, depth: usize) -> Result<(), Exceeded> {
        if depth > MAX_DEPTH {
            return Err(Exceeded::Depth);
        }
        self.deepest = self.deepest.max(depth);
        let graph = self.graph;
        let node = &graph.nodes[id];
        if mode == Mode::Mark {
            return self.mark(node, value, depth + 1);
        }
        self.take(node.own_steps)?;
        if matches!(mode, Mode::List | Mode::ListAlternative) {
            // A problem holds the path of its part of the value.
            let path = self.path_bytes as u64 / 64;
            self.take(path.saturating_mul(node.own_steps))?;
        }
        if mode == Mode::ListAlternative {
            let copied = self.size(value)?;
            self.take(copied.saturating_mul(node.own_steps) / 4)?;
        }
        for (applied, next) in applied(node, value) {
            match (applied, mode) {
                (Applied::Alternative, Mode::Check)
                    if (node.selected.get(&next)).is_some_and(|tag| tag.is_skipped(value)) => {}
                (Applied::Test, _) | (_, Mode::Check) => {
                    self.node(next, value, Mode::Check, depth + 1)?;
                }
                (Applied::Always, _) => self.node(next, value, mode, depth + 1)?,
                (Applied::Alternative, _) => {
                    self.node(next, value, Mode::Check, depth + 1)?;
                    self.alternative(next, value, mode, depth + 1)?;
                }
            }
        }
        match value {
            Value::String(text) => self.take(text_steps(text, node.text_cost))?,
            Value::Number(number) => self.take(division_steps(number, node))?,
            Value::Array(items) => self.items(node, items, mode, depth + 1)?,
            Value::Object(members) => self.members(node, members, mode, depth + 1)?,
            _ => {}
        }
        if let (true, Value::Array(items)) = (node.unique_items, value) {
            let size = self.size(value)?;
            self.take(size.saturating_mul(COMPARED_ITEMS))?;
            self.take(unique::compared_steps(items))?;
        }
        if node.tracks_evaluated() {
            // A problem holds the text of every unexpected item.
            if mode != Mode::Check {
                let copied = self.size(value)?;
                self.take(copied)?;
            }
            self.mark(node, value, depth + 1)?;
        }
        Ok(())
    }

    /// Applies `id` to `part`, to which `segment_bytes` lead from the current part.
    fn part(
        &mut self,
        id: Id,
        part: &Value,
        segment_bytes: usize,
        mode: Mode,
        depth: usize,
    ) -> Result<(), Exceeded> {
        self.path_bytes += segment_bytes;
        self.node(id, part, mode, depth)?;
        self.path_bytes -= segment_bytes;
        Ok(())
    }

    /// Collects the problems of an alternative. The library does so for the first problem, too, but
    /// for no more than one value.
    fn alternative(
        &mut self,
        id: Id,
        value: &Value,
        mode: Mode,
        depth: usize,
    ) -> Result<(), Exceeded> {
        if mode != Mode::First {
            return self.node(id, value, Mode::ListAlternative, depth);
        }
        let before = self.remaining;
        let allowed = before.min(LIST_STEPS);
        self.remaining = allowed;
        self.node(id, value, Mode::ListAlternative, depth)?;
        self.remaining += before - allowed;
        Ok(())
    }

    fn items(
        &mut self,
        node: &Node,
        items: &[Value],
        mode: Mode,
        depth: usize,
    ) -> Result<(), Exceeded> {
        for (index, id) in &node.prefix_items {
            if let Some(item) = items.get(*index) {
                self.part(*id, item, INDEX_BYTES, mode, depth)?;
            }
        }
        if let Some(id) = node.items {
            for item in items {
                self.part(id, item, INDEX_BYTES, mode, depth)?;
            }
        }
        self.tested_items(node, items, depth)
    }

    /// The schemas that are only checked with each item.
    fn tested_items(&mut self, node: &Node, items: &[Value], depth: usize) -> Result<(), Exceeded> {
        for id in [node.contains, node.unevaluated_items]
            .into_iter()
            .flatten()
        {
            for item in items {
                self.node(id, item, Mode::Check, depth)?;
            }
        }
        Ok(())
    }

    fn members(
        &mut self,
        node: &Node,
        members: &serde_json::Map<String, Value>,
        mode: Mode,
        depth: usize,
    ) -> Result<(), Exceeded> {
        if node.properties.is_empty()
            && node.patterns.is_empty()
            && node.additional_properties.is_none()
            && node.property_names.is_none()
            && node.unevaluated_properties.is_none()
        {
            return Ok(());
        }
        for (name, member) in members {
            self.take(1)?;
            let segment = 1 + name.len();
            let property = node.properties.get(name.as_str());
            if let Some(id) = property {
                self.part(*id, member, segment, mode, depth)?;
            }
            for (cost, id) in &node.patterns {
                // Matched by `patternProperties` and again by `additionalProperties`.
                self.take(1 + text_steps(name, 2 * cost))?;
                self.part(*id, member, segment, mode, depth)?;
            }
            if let (None, Some(id)) = (property, node.additional_properties) {
                // A problem holds the name.
                self.take(text_steps(name, COST_PER_STEP / 16))?;
                self.part(id, member, segment, mode, depth)?;
            }
            if let Some(id) = node.property_names {
                let name = Value::from(name.as_str());
                self.node(id, &name, mode, depth)?;
            }
            if let Some(id) = node.unevaluated_properties {
                self.node(id, member, Mode::Check, depth)?;
            }
        }
        Ok(())
    }

    /// Finds the parts of `value` that other keywords of `node` apply to.
    fn mark(&mut self, node: &Node, value: &Value, depth: usize) -> Result<(), Exceeded> {
        self.take(1)?;
        for (_, next) in applied(node, value) {
            self.node(next, value, Mode::Check, depth)?;
            self.node(next, value, Mode::Mark, depth)?;
        }
        match value {
            Value::Array(items) => {
                self.take(items.len() as u64)?;
                self.tested_items(node, items, depth)?;
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.take(1)?;
                    for (cost, _) in &node.patterns {
                        self.take(1 + text_steps(name, *cost))?;
                    }
                    if let Some(id) = node.unevaluated_properties {
                        self.node(id, member, Mode::Check, depth)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The size of `value` in steps, which are counted as well.
    fn size(&mut self, value: &Value) -> Result<u64, Exceeded> {
        let before = self.remaining;
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            let text = match value {
                Value::String(text) => text.len(),
                Value::Array(items) => {
                    stack.extend(items);
                    0
                }
                Value::Object(members) => {
                    stack.extend(members.values());
                    members.keys().map(String::len).sum()
                }
                _ => 0,
            };
            self.take(1 + text as u64 / 64)?;
        }
        Ok(before - self.remaining)
    }
}

/// The subschemas of `node` that apply to `value` itself.
fn applied<'n>(node: &'n Node, value: &'n Value) -> impl Iterator<Item = (Applied, Id)> {
    let dependent = node
        .dependent
        .iter()
        .filter(|(name, _)| value.get(&**name).is_some())
        .map(|(_, id)| (Applied::Always, *id));
    node.in_place.iter().copied().chain(dependent)
}

fn division_steps(number: &serde_json::Number, node: &Node) -> u64 {
    match number.as_f64() {
        Some(number) if number.abs() < SHORT_NUMBERS => node.division_steps,
        _ => node.long_division_steps,
    }
}

fn text_steps(text: &str, cost: u64) -> u64 {
    (text.len() as u64).saturating_mul(cost) / COST_PER_STEP
}
