//! Unique names for the tools of several agents.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::MAX_TOOL_NAME;
use crate::AgentName;

/// The digits of a suffix that tells names apart.
const SUFFIX_DIGITS: usize = 6;

/// One tool name for each of `agents`, in their order, by which a set of tools is unambiguous.
///
/// A name consists of at most 64 letters, digits, `_` and `-`, the limits of all providers. A name is the
/// agent's with every `.` replaced by `_`. If two agents would share a name, or a name is too long, the name
/// is cut and ends in digits that are made from the agent's full name. Names are independent of the order of
/// `agents`. Duplicates in `agents` get the same name.
///
/// ```
/// use openagentmesh_protocol::{AgentName, tool};
///
/// let agents = [AgentName::new("text.count")?, AgentName::new("a.b")?, AgentName::new("a_b")?];
/// let names = tool::unique_names(&agents);
/// assert_eq!(names[0], "text_count");
/// assert!(names[1].starts_with("a_b_") && names[2].starts_with("a_b_"));
/// assert_ne!(names[1], names[2]);
/// # Ok::<(), openagentmesh_protocol::InvalidName>(())
/// ```
#[must_use]
pub fn unique_names<'a>(agents: impl IntoIterator<Item = &'a AgentName>) -> Vec<String> {
    let agents: Vec<&AgentName> = agents.into_iter().collect();
    let distinct: BTreeSet<&AgentName> = agents.iter().copied().collect();
    let mut sharing: BTreeMap<String, usize> = BTreeMap::new();
    for agent in &distinct {
        *sharing.entry(plain(agent)).or_default() += 1;
    }
    let is_plain = |agent: &AgentName| {
        let name = plain(agent);
        name.len() <= MAX_TOOL_NAME && sharing.get(&name) == Some(&1)
    };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut names: BTreeMap<&AgentName, String> = BTreeMap::new();
    for &agent in distinct.iter().filter(|agent| is_plain(agent)) {
        taken.insert(plain(agent));
        names.insert(agent, plain(agent));
    }
    for &agent in distinct.iter().filter(|agent| !is_plain(agent)) {
        // The first attempt is free except for names that were made to collide.
        let name = (0_u32..)
            .map(|attempt| suffixed(agent, attempt))
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        taken.insert(name.clone());
        names.insert(agent, name);
    }
    agents.iter().map(|agent| names[agent].clone()).collect()
}

/// The name of the agent in the characters of a tool's.
pub(super) fn plain(agent: &AgentName) -> String {
    agent.as_str().replace('.', "_")
}

fn suffixed(agent: &AgentName, attempt: u32) -> String {
    let mut name = plain(agent);
    name.truncate(MAX_TOOL_NAME - SUFFIX_DIGITS - 1);
    let digits = hash(agent.as_str(), attempt) & 0x00ff_ffff;
    format!("{name}_{digits:06x}")
}

/// FNV-1a: names are equal in every process and version, which the hashes of the standard library are not.
fn hash(text: &str, attempt: u32) -> u64 {
    let bytes = text.bytes().chain(attempt.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
