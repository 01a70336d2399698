//! The kind of names that each argument takes.

/// A kind of names on a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Agents that answer with one reply.
    Called,
    /// Agents that answer with chunks.
    Streamed,
    /// Agents that publish events.
    Subscribed,
    Agents,
    Keys,
    Files,
    Tags,
    Channels,
    Subjects,
    /// Names of meshes on this machine.
    Contexts,
}

/// The kind of names that an argument of a command takes.
pub(super) fn source(command: &str, argument: &str) -> Option<Source> {
    let (group, name) = command.split_once(' ').unwrap_or((command, ""));
    Some(match (group, name, argument) {
        ("agent", "call" | "send", "name") => Source::Called,
        ("agent", "stream", "name") => Source::Streamed,
        ("agent", "subscribe", "name") => Source::Subscribed,
        ("agent", _, "name") | ("conform", "host", "names") => Source::Agents,
        // Only a key without a value can be created.
        ("kv", "create", _) => return None,
        ("kv", _, "key" | "pattern") => Source::Keys,
        ("workspace", _, "name" | "prefix") => Source::Files,
        ("mesh", "listen" | "publish", "subject") => Source::Subjects,
        ("context", "use" | "show" | "remove", "name") | (_, _, "context") => Source::Contexts,
        (_, _, "tags" | "tag") => Source::Tags,
        (_, _, "channel") => Source::Channels,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Source, source};

    #[test]
    fn argument_takes_the_names_that_fit_its_command() {
        assert_eq!(source("agent call", "name"), Some(Source::Called));
        assert_eq!(source("agent contract", "name"), Some(Source::Agents));
        assert_eq!(source("mesh catalog", "tags"), Some(Source::Tags));
        assert_eq!(source("tools", "channel"), Some(Source::Channels));
        assert_eq!(source("", "context"), Some(Source::Contexts));
        assert_eq!(source("context use", "name"), Some(Source::Contexts));
        assert_eq!(source("context add", "name"), None);
        assert_eq!(source("kv create", "key"), None);
        assert_eq!(source("kv get", "key"), Some(Source::Keys));
        assert_eq!(source("workspace delete", "prefix"), Some(Source::Files));
        assert_eq!(source("agent call", "payload"), None);
    }
}
