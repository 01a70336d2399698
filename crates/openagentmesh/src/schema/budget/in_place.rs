//! The steps for a single value, whatever its parts are.

use super::graph::{Applied, Graph, Id, Node};

/// Steps of the subschemas that apply to one and the same value.
const MAX_IN_PLACE_STEPS: u64 = 50_000;

/// Subschemas that apply to the same value, each by the one before.
const MAX_IN_PLACE_DEPTH: usize = 256;

/// The cost of a subschema and of all that it applies to the same value.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Of a check.
    check: u64,
    /// Of collecting the problems.
    list: u64,
    /// Of finding the parts of the value that were evaluated.
    mark: u64,
    depth: usize,
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    Done(Cost),
}

/// The steps that the check of a single value takes at most.
///
/// # Errors
///
/// A circle of subschemas that apply to the same value, or the exceeded limit.
pub(super) fn check(graph: &Graph) -> Result<u64, String> {
    let mut states = vec![State::New; graph.nodes.len()];
    let mut most_steps = 0;
    let mut stack: Vec<Id> = (0..graph.nodes.len()).collect();
    while let Some(&id) = stack.last() {
        let node = &graph.nodes[id];
        match states[id] {
            State::New => {
                states[id] = State::Open;
                for (_, next) in applied(node) {
                    match states[next] {
                        State::New => stack.push(next),
                        State::Open => {
                            return Err(
                                "circular reference: the schema applies itself to the same value"
                                    .to_owned(),
                            );
                        }
                        State::Done(_) => {}
                    }
                }
            }
            State::Open => {
                stack.pop();
                let cost = cost(node, &states);
                if cost.list.max(cost.check).max(cost.mark) > MAX_IN_PLACE_STEPS
                    || cost.depth > MAX_IN_PLACE_DEPTH
                {
                    return Err(format!(
                        "schema too costly: a value may take at most {MAX_IN_PLACE_STEPS} steps and \
                         {MAX_IN_PLACE_DEPTH} nested references and alternatives"
                    ));
                }
                most_steps = most_steps.max(cost.check);
                states[id] = State::Done(cost);
            }
            State::Done(_) => {
                stack.pop();
            }
        }
    }
    Ok(most_steps)
}

fn applied(node: &Node) -> impl Iterator<Item = (Applied, Id)> {
    let dependent = node.dependent.iter().map(|(_, id)| (Applied::Always, *id));
    node.in_place.iter().copied().chain(dependent)
}

fn cost(node: &Node, states: &[State]) -> Cost {
    let own = node.own_steps;
    let mut sum = Cost {
        check: own,
        list: own,
        mark: 1,
        depth: 1,
    };
    for (applied, id) in applied(node) {
        let State::Done(next) = states[id] else {
            continue;
        };
        let list = match applied {
            Applied::Always => next.list,
            Applied::Alternative => next.check.saturating_add(next.list),
            Applied::Test => next.check,
        };
        sum.check = sum.check.saturating_add(next.check);
        sum.list = sum.list.saturating_add(list);
        sum.mark = sum
            .mark
            .saturating_add(next.check)
            .saturating_add(next.mark);
        sum.depth = sum.depth.max(next.depth + 1);
    }
    if node.tracks_evaluated() {
        sum.check = sum.check.saturating_add(sum.mark);
        sum.list = sum.list.saturating_add(sum.mark);
    }
    sum
}
