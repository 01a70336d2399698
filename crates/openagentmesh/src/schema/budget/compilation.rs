//! The subschemas that the library compiles more than once.

use super::graph::{Graph, Id, Node};

/// Steps of compiling subschemas again.
const MAX_RECOMPILED_STEPS: u64 = 200_000;

/// Steps of compiling one subschema, with the cost of copying a name as the unit.
const COMPILATION_STEPS: u64 = 16;

/// Places of a subschema that the library compares in one step, before it compiles the subschema for another.
const PLACES_PER_STEP: u64 = 50;

/// Levels of subschemas that are compiled again, each by the one before.
const MAX_RECOMPILED_DEPTH: usize = 128;

/// Counts the subschemas that the library compiles for other places or dynamic scopes, and returns the depth
/// of that recursion.
///
/// With `unevaluatedProperties` or `unevaluatedItems`, the library compiles the parts of every reachable
/// schema again. It compiles each subschema for every sequence of documents that leads there.
///
/// # Errors
///
/// The exceeded limit.
pub(super) fn check(graph: &Graph, longest_path: usize) -> Result<usize, String> {
    let mut count = Count {
        graph,
        remaining: MAX_RECOMPILED_STEPS / graph.max_scopes,
        path_steps: longest_path as u64 / 64,
        is_open: vec![false; graph.nodes.len()],
        places: vec![0; graph.nodes.len()],
        deepest: 0,
    };
    count.run().ok_or_else(|| {
        format!(
            "schema too costly: unevaluatedProperties, unevaluatedItems and embedded documents may take at \
             most {MAX_RECOMPILED_STEPS} steps and {MAX_RECOMPILED_DEPTH} levels"
        )
    })?;
    Ok(count.deepest)
}

struct Count<'g> {
    graph: &'g Graph,
    remaining: u64,
    /// Steps of making the longest path.
    path_steps: u64,
    /// Whether the parts of a referenced subschema are being collected.
    is_open: Vec<bool>,
    /// The number of places for which each subschema was compiled.
    places: Vec<u64>,
    deepest: usize,
}

impl<'g> Count<'g> {
    /// `None` if a limit is exceeded.
    fn run(&mut self) -> Option<()> {
        let graph = self.graph;
        if graph.max_scopes > 1 {
            self.take(graph.nodes.len() as u64)?;
        }
        for node in &graph.nodes {
            if node.tracks_evaluated() {
                self.collect(node, 1)?;
            }
        }
        Some(())
    }

    fn take(&mut self, steps: u64) -> Option<()> {
        self.remaining = self.remaining.checked_sub(steps)?;
        Some(())
    }

    fn enter(&mut self, depth: usize) -> Option<()> {
        self.deepest = self.deepest.max(depth);
        (depth <= MAX_RECOMPILED_DEPTH).then_some(())
    }

    /// Collects the parts that `node` evaluates, along references and alternatives.
    fn collect(&mut self, node: &'g Node, depth: usize) -> Option<()> {
        self.enter(depth)?;
        self.take(1 + node.names_steps)?;
        let graph = self.graph;
        for id in node
            .inline()
            .chain(node.dependent.iter().map(|(_, id)| *id))
        {
            self.collect(&graph.nodes[id], depth + 1)?;
        }
        for &id in &node.references {
            // The library uses the parts that it is collecting.
            if self.is_open[id] {
                continue;
            }
            self.is_open[id] = true;
            let target = &graph.nodes[id];
            self.collect(target, depth + 1)?;
            for id in target.inline().chain(target.parts()) {
                self.compile(id, depth + 1)?;
            }
            self.is_open[id] = false;
        }
        Some(())
    }

    /// Compiles a subschema in a place where the library has not compiled it yet.
    fn compile(&mut self, id: Id, depth: usize) -> Option<()> {
        self.enter(depth)?;
        let node = &self.graph.nodes[id];
        self.take(COMPILATION_STEPS + self.path_steps + self.places[id] / PLACES_PER_STEP)?;
        self.places[id] += 1;
        let properties = node.properties.values().copied();
        for id in node
            .inline()
            .chain(node.parts())
            .chain(node.dependent.iter().map(|(_, id)| *id))
            .chain(properties)
            .chain(node.property_names)
        {
            self.compile(id, depth + 1)?;
        }
        if node.tracks_evaluated() {
            self.collect(node, depth + 1)?;
        }
        Some(())
    }
}
