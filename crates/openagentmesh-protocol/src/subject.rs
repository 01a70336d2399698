//! The NATS subject of each kind of message.

use openagentmesh_name::AgentName;

use crate::{InstanceId, RequestId, bucket};

/// Subject on which the mesh's own account receives the server's disconnect advisories, where the server's
/// configuration imports them from the system account.
pub const DISCONNECTS: &str = "mesh.sys.disconnect";

/// Subjects of the notices of all instances that are down: the id of an instance has one segment, or two.
pub const ALL_INSTANCES_DOWN: [&str; 2] = ["mesh.instance.*.down", "mesh.instance.*.*.down"];

/// Subject of the death notices of all agents.
pub const ALL_DEATHS: &str = "mesh.death.>";

/// Subject of an agent's invocations.
#[must_use]
pub fn agent(name: &AgentName) -> String {
    // `concat` is several times as fast as `format!`, and this runs once per request.
    ["mesh.agent.", name.as_str()].concat()
}

/// Queue group in which the hosts of an agent share its invocations.
#[must_use]
pub fn queue_group(name: &AgentName) -> String {
    format!("q.{name}")
}

/// Subject of a publisher's events.
#[must_use]
pub fn events(name: &AgentName) -> String {
    format!("mesh.agent.{name}.events")
}

/// Subject of the chunks of one streamed reply.
#[must_use]
pub fn stream(request_id: &RequestId) -> String {
    format!("mesh.stream.{request_id}")
}

/// Subject of the reply to one send with a callback.
#[must_use]
pub fn results(request_id: &RequestId) -> String {
    format!("mesh.results.{request_id}")
}

/// Subject of the copies of an agent's error replies: its dead letters.
#[must_use]
pub fn errors(name: &AgentName) -> String {
    format!("mesh.errors.{name}")
}

/// Subject of an agent's death notices.
#[must_use]
pub fn death(name: &AgentName) -> String {
    format!("mesh.death.{name}")
}

/// Subject of the notice that instance `id` is down.
#[must_use]
pub fn instance_down(id: &InstanceId) -> String {
    format!("mesh.instance.{id}.down")
}

/// Subject of requests to agent `name` at instance `id` alone, without a queue group.
///
/// ```
/// use openagentmesh_protocol::{AgentName, InstanceId, subject};
///
/// let id = InstanceId::parse("abc")?;
/// let name = AgentName::new("nlp.echo")?;
/// let subject = subject::instance_request(&id, &name);
/// assert_eq!(subject, "mesh.instance.abc.request.nlp.echo");
/// assert_eq!(subject::requested_agent(&subject), Some(name));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn instance_request(id: &InstanceId, name: &AgentName) -> String {
    format!("mesh.instance.{id}.request.{name}")
}

/// Subject of the requests to all agents at instance `id` alone.
#[must_use]
pub fn instance_requests(id: &InstanceId) -> String {
    format!("mesh.instance.{id}.request.>")
}

/// The agent to which a request on `subject` is addressed; `None` for a subject that is not one of requests.
#[must_use]
pub fn requested_agent(subject: &str) -> Option<AgentName> {
    let name = match subject.strip_prefix("mesh.instance.") {
        Some(rest) => rest.split_once(".request.")?.1,
        None => subject.strip_prefix("mesh.agent.")?,
    };
    AgentName::new(name).ok()
}

/// Subject of an agent's log events.
#[must_use]
pub fn logs(name: &AgentName) -> String {
    format!("mesh.logs.{name}")
}

/// Subject reserved for health checks of an agent.
#[must_use]
pub fn health(name: &AgentName) -> String {
    format!("mesh.health.{name}")
}

/// Subject of writes of `key` in the key-value bucket `bucket`.
#[must_use]
pub fn kv(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// A parsed subject.
///
/// ```
/// use openagentmesh_protocol::{AgentName, Subject};
///
/// let parsed = Subject::parse("mesh.agent.nlp.summarizer");
/// assert_eq!(parsed, Subject::Agent(AgentName::new("nlp.summarizer")?));
/// assert_eq!(parsed.to_string(), "mesh.agent.nlp.summarizer");
/// assert_eq!(Subject::parse("orders.new"), Subject::Other("orders.new".to_owned()));
/// # Ok::<(), openagentmesh_protocol::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// `mesh.agent.{name}`: invocations of an agent.
    Agent(AgentName),
    /// `mesh.agent.{name}.events`: events of a publisher.
    ///
    /// Invocations of an agent whose last segment is `events` have the same form. They are parsed
    /// as this variant.
    Events(AgentName),
    /// `mesh.stream.{request_id}`: chunks of a streamed reply.
    Stream(RequestId),
    /// `mesh.results.{request_id}`: the reply of a send with a callback.
    Results(RequestId),
    /// `mesh.errors.{name}`: dead letters.
    Errors(AgentName),
    /// `mesh.death.{name}`: death notices.
    Death(AgentName),
    /// `mesh.instance.{instance_id}.down`: the notice that an instance is down.
    InstanceDown(InstanceId),
    /// `mesh.logs.{name}`: log events.
    Logs(AgentName),
    /// `mesh.health.{name}`: reserved.
    Health(AgentName),
    /// A write of the catalog.
    Catalog,
    /// A write or deletion of an agent's contract.
    Registry(AgentName),
    /// A write or deletion of a shared key.
    Context(String),
    /// A write of an object's metadata: the name in URL-safe base64.
    ObjectMeta(String),
    /// A chunk of an object: the identifier of the object's chunks.
    ObjectChunk(String),
    /// Any other subject, such as a reply inbox or a user's subject.
    Other(String),
}

impl Subject {
    /// Parses a subject. A subject outside of the protocol becomes [`Subject::Other`].
    #[must_use]
    pub fn parse(subject: &str) -> Self {
        Self::parse_mesh(subject)
            .or_else(|| Self::parse_store(subject))
            .unwrap_or_else(|| Self::Other(subject.to_owned()))
    }

    fn parse_mesh(subject: &str) -> Option<Self> {
        let (kind, rest) = subject.strip_prefix("mesh.")?.split_once('.')?;
        let name = || AgentName::new(rest).ok();
        match kind {
            "agent" => match rest.strip_suffix(".events") {
                Some(publisher) => AgentName::new(publisher).ok().map(Self::Events),
                None => name().map(Self::Agent),
            },
            "stream" => RequestId::parse(rest).ok().map(Self::Stream),
            "results" => RequestId::parse(rest).ok().map(Self::Results),
            "errors" => name().map(Self::Errors),
            "death" => name().map(Self::Death),
            "instance" => {
                let id = rest.strip_suffix(".down")?;
                // A request to agent "down" at an instance whose id has one segment.
                if id.ends_with(".request") {
                    return None;
                }
                InstanceId::parse(id).ok().map(Self::InstanceDown)
            }
            "logs" => name().map(Self::Logs),
            "health" => name().map(Self::Health),
            _ => None,
        }
    }

    fn parse_store(subject: &str) -> Option<Self> {
        if let Some(rest) = subject.strip_prefix("$KV.") {
            let (name, key) = rest.split_once('.')?;
            return match name {
                bucket::CATALOG if key == bucket::CATALOG_KEY => Some(Self::Catalog),
                bucket::REGISTRY => AgentName::new(key).ok().map(Self::Registry),
                bucket::CONTEXT => Some(Self::Context(key.to_owned())),
                _ => None,
            };
        }
        let (name, rest) = subject.strip_prefix("$O.")?.split_once('.')?;
        if name != bucket::ARTIFACTS {
            return None;
        }
        match rest.split_once('.')? {
            ("M", encoded) => Some(Self::ObjectMeta(encoded.to_owned())),
            ("C", nuid) => Some(Self::ObjectChunk(nuid.to_owned())),
            _ => None,
        }
    }
}

/// Whether a process may publish to a subject that another process named: the reply subject of a request, or the
/// subject for credit and cancellation.
///
/// A process publishes with rights of its own, which the other one may not have. Excluded are therefore the
/// subjects of the server and of stores, which begin with `$`; those of the mesh but for `mesh.results.>`: a reply on
/// `mesh.agent.>` would be a request or an event of the process itself; and what is not a subject of one message, such as a
/// wildcard.
///
/// ```
/// use openagentmesh_protocol::subject::may_reply_to;
///
/// assert!(may_reply_to("_INBOX.abc.1"));
/// assert!(may_reply_to("orders.replies"));
/// assert!(!may_reply_to("$JS.API.STREAM.DELETE.KV_mesh-catalog"));
/// assert!(!may_reply_to("mesh.errors.echo"));
/// assert!(!may_reply_to("mesh.errors"));
/// assert!(!may_reply_to("mesh.agent.echo"));
/// assert!(may_reply_to("mesh.results.0123456789abcdef0123456789abcdef"));
/// for malformed in ["", ".", "a.", ".a", "a..b", "*", "a.*", "*.a", "a.>", "a b", "a\tb"] {
///     assert!(!may_reply_to(malformed), "{malformed:?}");
/// }
/// assert!(may_reply_to("a*.b>"), "no wildcard is a part of a token");
/// ```
#[must_use]
pub fn may_reply_to(subject: &str) -> bool {
    let is_reserved = subject.starts_with("mesh.") || subject == "mesh" || subject.starts_with('$');
    (!is_reserved || subject.starts_with("mesh.results.")) && is_literal(subject.as_bytes())
}

/// Whether every token of a subject is one of a single message. One pass, because each request is checked.
fn is_literal(subject: &[u8]) -> bool {
    let mut token_bytes = 0_usize;
    let mut is_wildcard = false;
    for &byte in subject {
        match byte {
            b'.' if token_bytes == 0 || is_wildcard => return false,
            b'.' => token_bytes = 0,
            0..=b' ' | 0x7f => return false,
            _ => {
                is_wildcard = token_bytes == 0 && matches!(byte, b'*' | b'>');
                token_bytes += 1;
            }
        }
    }
    token_bytes > 0 && !is_wildcard
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent(name) => f.write_str(&agent(name)),
            Self::Events(name) => f.write_str(&events(name)),
            Self::Stream(id) => f.write_str(&stream(id)),
            Self::Results(id) => f.write_str(&results(id)),
            Self::Errors(name) => f.write_str(&errors(name)),
            Self::Death(name) => f.write_str(&death(name)),
            Self::InstanceDown(id) => f.write_str(&instance_down(id)),
            Self::Logs(name) => f.write_str(&logs(name)),
            Self::Health(name) => f.write_str(&health(name)),
            Self::Catalog => f.write_str(&kv(bucket::CATALOG, bucket::CATALOG_KEY)),
            Self::Registry(name) => f.write_str(&kv(bucket::REGISTRY, name.as_str())),
            Self::Context(key) => f.write_str(&kv(bucket::CONTEXT, key)),
            Self::ObjectMeta(encoded) => write!(f, "$O.{}.M.{encoded}", bucket::ARTIFACTS),
            Self::ObjectChunk(nuid) => write!(f, "$O.{}.C.{nuid}", bucket::ARTIFACTS),
            Self::Other(subject) => f.write_str(subject),
        }
    }
}
