//! The state of a mesh for people.

use std::time::Duration;

use indicatif::HumanBytes;
use openagentmesh::inspect::{
    BucketStatus, Inspection, InstanceStatus, JetStreamStatus, PeerStatus, StoredBucket,
    UnrecordedAgent,
};
use openagentmesh::{Error, ErrorCode, InstanceState};

use super::origin::{Local, Origin};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::protocol::PROTOCOL_VERSION;
use crate::table::Column;
use crate::text::{on_one_line, time};

const BUCKET_COLUMNS: [Column; 6] = [
    Column::key("BUCKET"),
    Column::whole("MESSAGES", 1),
    Column::whole("SIZE", 2),
    Column::whole("REPLICAS", 4),
    Column::text("LEADER", 5),
    Column::text("BEHIND", 3),
];

const INSTANCE_COLUMNS: [Column; 7] = [
    Column::key("INSTANCE"),
    Column::whole("STATE", 1),
    Column::whole("CONNECTED", 3),
    Column::whole("SINCE", 5),
    Column::whole("RENEWED", 4),
    Column::text("SDK", 6),
    Column::text("AGENTS", 2),
];

const AGENT_COLUMNS: [Column; 2] = [
    Column::key("AGENT WITHOUT INSTANCE"),
    Column::whole("SUBSCRIBED", 1),
];

pub(super) fn print(
    inspection: &Inspection,
    origin: &Origin,
    printer: &Printer,
) -> Result<(), Failure> {
    let server = &inspection.server;
    let name = format!("{}, nats-server {}", server.name, server.version);
    printer.field("Server", on_one_line(&name))?;
    let url = format!("{}, from {}", server.url, origin.source());
    printer.field("URL", on_one_line(&url))?;
    printer.field("Credentials", on_one_line(&origin.credentials()))?;
    printer.field("Ping", ping(server.round_trip))?;
    let version = env!("CARGO_PKG_VERSION");
    let client = format!("oam {version}, protocol of the Python SDK {PROTOCOL_VERSION}");
    printer.field("Client", client)?;
    let cluster = server.cluster.as_deref().unwrap_or("none");
    printer.field("Cluster", on_one_line(cluster))?;
    if let Some(local) = &origin.local {
        local_files(local, printer)?;
    }
    printer.field("JetStream", jetstream(&inspection.jetstream))?;
    printer.field("Monitor", monitor(inspection))?;
    printer.field("Catalog", catalog(inspection))?;
    printer.line("")?;
    printer.table(BUCKET_COLUMNS, inspection.buckets.iter().map(bucket))?;
    printer.line("")?;
    match inspection.instances.as_deref() {
        Ok([]) => printer.field("Instances", "none")?,
        Ok(instances) => printer.table(INSTANCE_COLUMNS, instances.iter().map(instance))?,
        Err(error) => printer.field("Instances", unreadable(error))?,
    }
    match inspection.unrecorded.as_deref() {
        Ok([]) => {}
        Ok(agents) => {
            printer.line("")?;
            printer.table(AGENT_COLUMNS, agents.iter().map(unrecorded))?;
        }
        Err(error) if inspection.instances.is_ok() => {
            printer.field("Other agents", unreadable(error))?;
        }
        Err(_) => {}
    }
    Ok(())
}

/// The process and the files of a mesh on this machine.
fn local_files(local: &Local, printer: &Printer) -> Result<(), Failure> {
    let directory = local.directory.to_string_lossy();
    let started = format!("in {directory}, {}", time(local.since));
    printer.field("Started", on_one_line(&started))?;
    for log in &local.logs {
        printer.field("Log", on_one_line(&log.to_string_lossy()))?;
    }
    for data in &local.data {
        let end = if local.is_kept {
            "kept"
        } else {
            "deleted with the mesh"
        };
        let data = format!("{}, {end}", data.display());
        printer.field("Data", on_one_line(&data))?;
    }
    Ok(())
}

fn ping(round_trip: Option<Duration>) -> String {
    match round_trip {
        Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        None => "no answer".to_owned(),
    }
}

/// The subjects that the user may not use, because of which parts could not be read.
pub(super) fn denied_subjects(inspection: &Inspection) -> Vec<&str> {
    let parts = [
        inspection.jetstream.as_ref().err(),
        inspection.monitor.as_ref().err(),
        inspection.instances.as_ref().err(),
        inspection.catalog.as_ref().err(),
    ];
    let buckets = inspection.buckets.iter();
    let mut subjects: Vec<&str> = parts
        .into_iter()
        .flatten()
        .chain(buckets.filter_map(|status| status.stored.as_ref().err()))
        .filter(|error| error.code() == &ErrorCode::ConnectionDenied)
        .filter_map(|error| error.details().get("subject")?.as_str())
        .collect();
    // Several parts may need the same permission.
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

fn unreadable(error: &Error) -> &'static str {
    match error.code() {
        ErrorCode::ConnectionDenied => "not readable for this user",
        _ => "unknown",
    }
}

fn jetstream(status: &Result<JetStreamStatus, Error>) -> String {
    let status = match status {
        Ok(status) => status,
        Err(error) if error.code() == &ErrorCode::StorageError => return "disabled".to_owned(),
        Err(error) => return unreadable(error).to_owned(),
    };
    let mut text = format!(
        "{} stored{}",
        HumanBytes(status.storage),
        limit(status.max_storage)
    );
    if status.memory > 0 || status.max_memory.is_some_and(|limit| limit > 0) {
        text.push_str(&format!(
            ", {} in memory{}",
            HumanBytes(status.memory),
            limit(status.max_memory)
        ));
    }
    text
}

fn limit(bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!(" of {}", HumanBytes(bytes)),
        None => String::new(),
    }
}

fn monitor(inspection: &Inspection) -> String {
    match &inspection.monitor {
        Err(error) => unreadable(error).to_owned(),
        Ok(None) => "none".to_owned(),
        Ok(Some(monitor)) => {
            let holder = on_one_line(monitor.holder.as_str());
            match monitor.is_expired() {
                true => format!(
                    "none; the lease of {holder} was last renewed {} ago",
                    age(monitor.renewed_ago)
                ),
                false => holder,
            }
        }
    }
}

fn catalog(inspection: &Inspection) -> String {
    match &inspection.catalog {
        Err(error) => unreadable(error).to_owned(),
        Ok(catalog) if catalog.problem.is_some() => "malformed".to_owned(),
        Ok(catalog) => {
            let agents = match catalog.agents {
                1 => "1 agent".to_owned(),
                agents => format!("{agents} agents"),
            };
            match catalog.invalid {
                0 => agents,
                1 => format!("{agents}, 1 invalid entry"),
                invalid => format!("{agents}, {invalid} invalid entries"),
            }
        }
    }
}

fn bucket(status: &BucketStatus) -> [String; 6] {
    let name = status.bucket.to_owned();
    let without = |state: &str| {
        let none = || "-".to_owned();
        [
            name.clone(),
            state.to_owned(),
            none(),
            none(),
            none(),
            none(),
        ]
    };
    match &status.stored {
        Ok(Some(stored)) => [
            name,
            stored.messages.to_string(),
            HumanBytes(stored.bytes).to_string(),
            stored.replicas.to_string(),
            on_one_line(stored.leader.as_deref().unwrap_or("-")),
            behind(stored),
        ],
        Ok(None) => without("missing"),
        Err(error) if error.code() == &ErrorCode::ConnectionDenied => without("denied"),
        Err(_) => without("unknown"),
    }
}

fn behind(stored: &StoredBucket) -> String {
    let peer = |peer: &PeerStatus| match peer.is_offline {
        true => format!("{} (offline)", peer.name),
        false => format!("{} ({})", peer.name, peer.lag),
    };
    let peers: Vec<String> = stored.lagging_peers().map(peer).collect();
    match peers.is_empty() {
        true => "-".to_owned(),
        false => on_one_line(&peers.join(", ")),
    }
}

fn instance(status: &InstanceStatus) -> [String; 7] {
    let instance = &status.instance;
    let agents: Vec<&str> = instance.agents.iter().map(|agent| agent.as_str()).collect();
    [
        on_one_line(instance.id.as_str()),
        on_one_line(state(instance.state.as_ref())),
        known(status.is_connected).to_owned(),
        instance.started_at.map_or("-".to_owned(), time),
        match status.renewed_ago {
            Some(_) => format!("{} ago", age(status.renewed_ago)),
            None => "-".to_owned(),
        },
        on_one_line(instance.sdk.as_deref().unwrap_or("-")),
        on_one_line(&agents.join(", ")),
    ]
}

/// The state that a record names; `-` without one.
pub(super) fn state(state: Option<&InstanceState>) -> &str {
    state.map_or("-", InstanceState::as_str)
}

fn unrecorded(agent: &UnrecordedAgent) -> [String; 2] {
    [
        on_one_line(agent.agent.as_str()),
        known(agent.is_subscribed).to_owned(),
    ]
}

fn known(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

/// A time span to a tenth of a second, or in larger units.
fn age(span: Option<Duration>) -> String {
    let Some(span) = span else {
        return "unknown".to_owned();
    };
    match span.as_secs() {
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 60..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
