//! A check of a caller while it runs.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use openagentmesh_protocol::InstanceId;

use super::agents::AGENTS;
use crate::settings::Settings;
use crate::verdicts::Verdicts;
use crate::wire::Mesh;

/// The number of request ids that are compared.
const MAX_IDS: usize = 10_000;

/// A running check.
pub(super) struct Check<'c> {
    pub(super) mesh: &'c Mesh,
    pub(super) settings: Settings,
    pub(super) verdicts: Verdicts,
    /// The id of this kit as a host.
    pub(super) instance: InstanceId,
    pub(super) state: Mutex<State>,
    pub(super) on_prompt: &'c (dyn Fn(&str) + Send + Sync),
}

#[derive(Default)]
pub(super) struct State {
    ids: HashSet<String>,
    steps: BTreeSet<String>,
    /// The instance of the first request.
    instance: Option<String>,
}

impl Check<'_> {
    /// Notes that a step is done.
    pub(super) fn done(&self, step: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = AGENTS.iter().any(|agent| agent.step == Some(step))
            && state.steps.insert(step.to_owned());
        let (done, all) = (
            state.steps.len(),
            AGENTS.iter().filter(|agent| agent.step.is_some()).count(),
        );
        drop(state);
        if is_new {
            (self.on_prompt)(&format!("step {step} is done ({done} of {all})"));
        }
    }

    pub(super) fn is_done(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut steps = AGENTS.iter().filter_map(|agent| agent.step);
        steps.all(|step| state.steps.contains(step))
    }

    /// Whether no earlier request had this id.
    pub(super) fn is_new_id(&self, id: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ids.len() >= MAX_IDS {
            return true;
        }
        state.ids.insert(id.to_owned())
    }

    /// Whether the instance is that of the first request.
    pub(super) fn is_same_instance(&self, id: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.instance.get_or_insert_with(|| id.to_owned()) == id
    }
}
