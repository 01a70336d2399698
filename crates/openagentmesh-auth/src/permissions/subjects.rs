//! The subjects of the mesh in permissions.

use data_encoding::BASE64URL;
use openagentmesh_protocol::bucket;

use crate::{AgentPattern, FilePattern, UserName};

/// The greatest number of segments of an agent's name that permissions for channels reach. Wildcards cannot express
/// "any number of segments, then `events`".
pub(super) const MAX_SEGMENTS: usize = 8;

/// The stream of the object store of shared files.
pub(super) const FILES_STREAM: &str = "OBJ_mesh-artifacts";

/// The question to the server who the user is.
pub(super) const USER_INFO: &str = "$SYS.REQ.USER.INFO";

/// The questions to all servers about the account: connections and statistics.
pub(super) const ACCOUNT_QUESTIONS: &str = "$SYS.REQ.ACCOUNT.PING.>";

/// The key-value buckets that every SDK opens.
pub(super) const KV_BUCKETS: [&str; 5] = [
    bucket::CATALOG,
    bucket::REGISTRY,
    bucket::INSTANCES,
    bucket::OBSERVABILITY,
    bucket::CONTEXT,
];

/// The notices that an instance is down; the id of an instance has one segment, or two on a mesh with users.
pub(super) const INSTANCES_DOWN: [&str; 2] = ["mesh.instance.*.down", "mesh.instance.*.*.down"];

/// The stream of a key-value bucket.
pub(super) fn stream_of(bucket: &str) -> String {
    format!("KV_{bucket}")
}

pub(super) fn stream_info(stream: &str) -> String {
    format!("$JS.API.STREAM.INFO.{stream}")
}

pub(super) fn message_get(stream: &str) -> String {
    format!("$JS.API.STREAM.MSG.GET.{stream}")
}

/// The keys of a bucket that `keys` names.
pub(super) fn keys(bucket: &str, keys: &str) -> String {
    format!("$KV.{bucket}.{keys}")
}

/// The metadata of a file, or of all.
pub(super) fn file_metadata(file: &FilePattern) -> String {
    match file {
        FilePattern::All => format!("$O.{}.M.>", bucket::ARTIFACTS),
        FilePattern::File(name) => {
            let name = BASE64URL.encode(name.as_bytes());
            format!("$O.{}.M.{name}", bucket::ARTIFACTS)
        }
    }
}

/// The chunks of files: their subjects have random ids.
pub(super) fn file_chunks() -> String {
    format!("$O.{}.C.>", bucket::ARTIFACTS)
}

/// The subjects of `{kind}` of the agents: `mesh.{kind}.{agents}`.
pub(super) fn of_agents(kind: &str, agents: &AgentPattern) -> String {
    format!("mesh.{kind}.{agents}")
}

/// The requests to the agents at one instance alone.
pub(super) fn instance_requests(instance: &str, agents: &str) -> String {
    format!("mesh.instance.{instance}.request.{agents}")
}

/// The inbox of a user.
pub(super) fn inbox(name: &UserName) -> String {
    format!("_INBOX.{name}.>")
}

/// The subjects of the events of the agents.
pub(super) fn events(agents: &AgentPattern) -> Vec<String> {
    match agents {
        AgentPattern::Agent(name) => vec![format!("mesh.agent.{name}.events")],
        AgentPattern::Channel(_) | AgentPattern::All => {
            let (prefix, fixed) = channel(agents);
            let depths = fixed + 1..=MAX_SEGMENTS;
            depths
                .map(|depth| format!("{prefix}{}.events", wildcards(depth - fixed)))
                .collect()
        }
    }
}

/// The subjects that a caller of the agents of a channel may not publish to, although they are below it: the events of all
/// agents, and everything deeper than the events of the longest names that [`events`] reaches.
pub(super) fn not_requests(agents: &AgentPattern) -> Vec<String> {
    if matches!(agents, AgentPattern::Agent(_)) {
        return Vec::new();
    }
    let (prefix, fixed) = channel(agents);
    let deeper = wildcards((MAX_SEGMENTS + 2).saturating_sub(fixed).max(1));
    events_of_channel_name(agents)
        .into_iter()
        .chain(events(agents))
        .chain([format!("{prefix}{deeper}"), format!("{prefix}{deeper}.>")])
        .collect()
}

/// The subject of the events of the agent that has the name of a channel. It is below the subjects of the channel's agents.
pub(super) fn events_of_channel_name(agents: &AgentPattern) -> Option<String> {
    match agents {
        AgentPattern::Channel(channel) => Some(format!("mesh.agent.{channel}.events")),
        AgentPattern::Agent(_) | AgentPattern::All => None,
    }
}

/// The start of the subjects of a channel's agents, and the number of its segments.
fn channel(agents: &AgentPattern) -> (String, usize) {
    match agents {
        AgentPattern::Channel(channel) => (
            format!("mesh.agent.{channel}."),
            channel.as_str().split('.').count(),
        ),
        AgentPattern::Agent(_) | AgentPattern::All => ("mesh.agent.".to_owned(), 0),
    }
}

fn wildcards(count: usize) -> String {
    vec!["*"; count].join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_channel_are_named_to_the_greatest_depth() {
        let events = events(&"a.b.c.d.e.f.>".parse().unwrap());
        assert_eq!(
            events,
            [
                "mesh.agent.a.b.c.d.e.f.*.events",
                "mesh.agent.a.b.c.d.e.f.*.*.events"
            ]
        );
    }

    #[test]
    fn events_and_deeper_names_are_not_requests() {
        let denied = not_requests(&"a.b.c.d.e.f.>".parse().unwrap());
        assert_eq!(
            denied,
            [
                "mesh.agent.a.b.c.d.e.f.events",
                "mesh.agent.a.b.c.d.e.f.*.events",
                "mesh.agent.a.b.c.d.e.f.*.*.events",
                "mesh.agent.a.b.c.d.e.f.*.*.*.*",
                "mesh.agent.a.b.c.d.e.f.*.*.*.*.>"
            ]
        );
        assert_eq!(not_requests(&AgentPattern::All).len(), MAX_SEGMENTS + 2);
    }
}
