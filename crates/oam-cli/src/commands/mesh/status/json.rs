//! The state of a mesh as JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openagentmesh::inspect::{
    BucketStatus, CatalogStatus, Finding, Inspection, InstanceStatus, JetStreamStatus,
    MonitorStatus, PeerStatus, Severity, UnrecordedAgent,
};
use openagentmesh::{Error, ErrorCode, InstanceState};
use serde::Serialize;

use super::origin::Origin;
use crate::protocol::PROTOCOL_VERSION;
use crate::text::timestamp;

/// The document. A part that cannot be read is null, and `unreadable` has the reason.
#[derive(Serialize)]
pub(super) struct Status<'s> {
    server: Server<'s>,
    client: ClientVersion,
    selection: Selection<'s>,
    /// Null for a mesh that `oam mesh up` does not run on this machine.
    local: Option<LocalFiles<'s>>,
    jetstream: Option<JetStream>,
    buckets: Vec<Bucket<'s>>,
    monitor: Monitor<'s>,
    instances: Option<Vec<Instance<'s>>>,
    agents_without_instance: Option<Vec<Agent<'s>>>,
    catalog: Option<Catalog<'s>>,
    errors: Vec<&'s str>,
    warnings: Vec<&'s str>,
    unreadable: Vec<Unreadable<'s>>,
}

#[derive(Serialize)]
struct Server<'s> {
    name: &'s str,
    version: &'s str,
    cluster: Option<&'s str>,
    url: &'s str,
    protocol: i8,
    /// Null if the server did not answer.
    ping_ms: Option<f64>,
}

#[derive(Serialize)]
struct ClientVersion {
    version: &'static str,
    protocol: &'static str,
}

/// The source of the URL.
#[derive(Serialize)]
struct Selection<'s> {
    source: &'static str,
    context: Option<&'s str>,
    file: Option<&'s PathBuf>,
    credentials: Option<&'s PathBuf>,
}

#[derive(Serialize)]
struct LocalFiles<'s> {
    directory: &'s Path,
    since: String,
    pids: &'s [u32],
    logs: &'s [PathBuf],
    data: &'s [PathBuf],
    data_kept: bool,
}

#[derive(Serialize)]
struct JetStream {
    enabled: bool,
    #[serde(flatten)]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Usage {
    storage_bytes: u64,
    max_storage_bytes: Option<u64>,
    memory_bytes: u64,
    max_memory_bytes: Option<u64>,
    streams: u64,
    consumers: u64,
}

#[derive(Serialize)]
struct Bucket<'s> {
    bucket: &'s str,
    /// Null if it is not known.
    exists: Option<bool>,
    #[serde(flatten)]
    stored: Option<Stored<'s>>,
}

#[derive(Serialize)]
struct Stored<'s> {
    messages: u64,
    bytes: u64,
    replicas: usize,
    wanted_replicas: usize,
    leader: Option<&'s str>,
    peers: Vec<Peer<'s>>,
}

#[derive(Serialize)]
struct Peer<'s> {
    name: &'s str,
    current: bool,
    offline: bool,
    lag: u64,
}

#[derive(Serialize)]
struct Monitor<'s> {
    /// Null if it is not known.
    active: Option<bool>,
    instance: Option<&'s str>,
    renewed_ms_ago: Option<u128>,
}

#[derive(Serialize)]
struct Instance<'s> {
    instance: &'s str,
    agents: Vec<&'s str>,
    state: Option<&'s str>,
    connected: Option<bool>,
    overdue: bool,
    started_at: Option<String>,
    renewed_at: Option<String>,
    renewed_ms_ago: Option<u128>,
    lease_ms: Option<u128>,
    sdk: Option<&'s str>,
}

#[derive(Serialize)]
struct Agent<'s> {
    agent: &'s str,
    subscribed: Option<bool>,
}

#[derive(Serialize)]
struct Catalog<'s> {
    valid: bool,
    agents: usize,
    invalid_entries: usize,
    problem: Option<&'s str>,
}

/// A part that cannot be read.
#[derive(Serialize)]
struct Unreadable<'s> {
    part: &'s str,
    code: &'s str,
    message: &'s str,
}

impl<'s> Unreadable<'s> {
    fn new(part: &'s str, error: &'s Error) -> Self {
        Self {
            part,
            code: error.code().as_str(),
            message: error.message(),
        }
    }
}

impl<'s> Status<'s> {
    pub(super) fn new(
        inspection: &'s Inspection,
        findings: &'s [Finding],
        origin: &'s Origin,
    ) -> Self {
        let of = |severity| {
            let findings = findings.iter();
            findings
                .filter(move |finding| finding.severity == severity)
                .map(|finding| &*finding.message)
                .collect()
        };
        let server = &inspection.server;
        Self {
            server: Server {
                name: &server.name,
                version: &server.version,
                cluster: server.cluster.as_deref(),
                url: &server.url,
                protocol: server.protocol,
                ping_ms: server.round_trip.map(milliseconds),
            },
            client: ClientVersion {
                version: env!("CARGO_PKG_VERSION"),
                protocol: PROTOCOL_VERSION,
            },
            selection: Selection {
                source: origin.kind(),
                context: origin.context(),
                file: origin.file(),
                credentials: origin.credentials.as_ref(),
            },
            local: origin.local.as_ref().map(|local| LocalFiles {
                directory: &local.directory,
                since: timestamp(local.since),
                pids: &local.pids,
                logs: &local.logs,
                data: &local.data,
                data_kept: local.is_kept,
            }),
            jetstream: jetstream(&inspection.jetstream),
            buckets: inspection.buckets.iter().map(bucket).collect(),
            monitor: monitor(&inspection.monitor),
            instances: list(&inspection.instances, instance),
            agents_without_instance: list(&inspection.unrecorded, agent),
            catalog: inspection.catalog.as_ref().ok().map(catalog),
            errors: of(Severity::Error),
            warnings: of(Severity::Warning),
            unreadable: unreadable(inspection),
        }
    }
}

/// To a microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn list<'s, T, J>(part: &'s Result<Vec<T>, Error>, show: fn(&'s T) -> J) -> Option<Vec<J>> {
    Some(part.as_ref().ok()?.iter().map(show).collect())
}

fn unreadable(inspection: &Inspection) -> Vec<Unreadable<'_>> {
    let parts = [
        ("jetstream", inspection.jetstream.as_ref().err()),
        ("monitor", inspection.monitor.as_ref().err()),
        ("instances", inspection.instances.as_ref().err()),
        ("catalog", inspection.catalog.as_ref().err()),
        (
            "agents_without_instance",
            inspection.unrecorded.as_ref().err(),
        ),
    ];
    let buckets = inspection.buckets.iter();
    let buckets = buckets.map(|status| (status.bucket, status.stored.as_ref().err()));
    parts
        .into_iter()
        .chain(buckets)
        .filter_map(|(part, error)| Some(Unreadable::new(part, error?)))
        .collect()
}

fn jetstream(status: &Result<JetStreamStatus, Error>) -> Option<JetStream> {
    match status {
        Ok(status) => Some(JetStream {
            enabled: true,
            usage: Some(Usage {
                storage_bytes: status.storage,
                max_storage_bytes: status.max_storage,
                memory_bytes: status.memory,
                max_memory_bytes: status.max_memory,
                streams: status.streams,
                consumers: status.consumers,
            }),
        }),
        Err(error) if error.code() == &ErrorCode::StorageError => Some(JetStream {
            enabled: false,
            usage: None,
        }),
        Err(_) => None,
    }
}

fn bucket(status: &BucketStatus) -> Bucket<'_> {
    Bucket {
        bucket: status.bucket,
        exists: status.stored.as_ref().ok().map(Option::is_some),
        stored: status
            .stored
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map(|stored| Stored {
                messages: stored.messages,
                bytes: stored.bytes,
                replicas: stored.replicas,
                wanted_replicas: status.wanted_replicas,
                leader: stored.leader.as_deref(),
                peers: stored.peers.iter().map(peer).collect(),
            }),
    }
}

fn peer(peer: &PeerStatus) -> Peer<'_> {
    Peer {
        name: &peer.name,
        current: peer.is_current,
        offline: peer.is_offline,
        lag: peer.lag,
    }
}

fn monitor(status: &Result<Option<MonitorStatus>, Error>) -> Monitor<'_> {
    let lease = status.as_ref().ok().and_then(Option::as_ref);
    Monitor {
        active: match status {
            Ok(lease) => Some(lease.as_ref().is_some_and(|lease| !lease.is_expired())),
            Err(_) => None,
        },
        instance: lease.map(|lease| lease.holder.as_str()),
        renewed_ms_ago: lease
            .and_then(|lease| lease.renewed_ago)
            .map(|ago| ago.as_millis()),
    }
}

fn instance(status: &InstanceStatus) -> Instance<'_> {
    let instance = &status.instance;
    Instance {
        instance: instance.id.as_str(),
        agents: instance.agents.iter().map(|agent| agent.as_str()).collect(),
        state: instance.state.as_ref().map(InstanceState::as_str),
        connected: status.is_connected,
        overdue: status.is_overdue(),
        started_at: instance.started_at.map(timestamp),
        renewed_at: instance.renewed_at.map(timestamp),
        renewed_ms_ago: status.renewed_ago.map(|ago| ago.as_millis()),
        lease_ms: instance.lease.map(|lease| lease.as_millis()),
        sdk: instance.sdk.as_deref(),
    }
}

fn agent(agent: &UnrecordedAgent) -> Agent<'_> {
    Agent {
        agent: agent.agent.as_str(),
        subscribed: agent.is_subscribed,
    }
}

fn catalog(catalog: &CatalogStatus) -> Catalog<'_> {
    Catalog {
        valid: catalog.problem.is_none(),
        agents: catalog.agents,
        invalid_entries: catalog.invalid,
        problem: catalog.problem.as_ref().map(Error::message),
    }
}
