//! The rules of each role.

use openagentmesh_protocol::{bucket, subject};

use super::matching::covers;
use super::rules::Permissions;
use super::subjects::{
    ACCOUNT_QUESTIONS, FILES_STREAM, INSTANCES_DOWN, KV_BUCKETS, USER_INFO, events,
    events_of_channel_name, file_chunks, file_metadata, inbox, instance_requests, keys,
    message_get, not_requests, of_agents, stream_info, stream_of,
};
use crate::{Access, AgentPattern, FilePattern, Granted, Grants, KeyPattern, Role, UserName};

/// The purposes of the rules: each is the end of the sentence "It may …".
mod purpose {
    pub(super) const IDENTITY: &str = "ask the server who it is, and receive its answers";
    pub(super) const READ: &str = "read catalog, contracts, processes and log levels";
    pub(super) const READ_DIRECTORY: &str = "read catalog, contracts and processes";
    pub(super) const READ_LEASE: &str = "read which monitor is active";
    pub(super) const DEATHS: &str = "learn of the deaths of agents and processes";
    pub(super) const LOGS: &str = "follow logs, errors and events of all agents";
    pub(super) const CALL: &str = "call these agents and receive their replies and events";
    pub(super) const NO_EVENTS: &str =
        "publish events of these agents, which only their workers do";
    pub(super) const SERVE: &str = "serve these agents: receive their requests and answer them";
    pub(super) const NO_EVENTS_OF_OTHERS: &str =
        "receive the events of the agent that has the name of its channel";
    pub(super) const REGISTER: &str = "register these agents and its own process";
    pub(super) const REPORT: &str = "publish events, logs, errors and deaths of these agents";
    pub(super) const PYTHON: &str = "write the catalog and the records of all processes, and read with consumers, as the SDK of Python does";
    pub(super) const SHARED_INBOX: &str = "receive the answers of all users that share its inbox";
    pub(super) const KEEP: &str =
        "keep the catalog: write entries, contracts, records and leases of all";
    pub(super) const ANNOUNCE: &str = "announce deaths, and log them";
    pub(super) const CONNECTIONS: &str = "ask which connections live, and learn of disconnects";
    pub(super) const READ_KV: &str = "read shared values";
    pub(super) const WRITE_KV: &str = "write shared values";
    pub(super) const READ_FILES: &str = "read shared files";
    pub(super) const WRITE_FILES: &str = "write shared files";
    pub(super) const EVERYTHING: &str = "do everything, administration of the storage included";
}

/// The buckets that every user reads but the monitor, which reads more.
const DIRECTORY: [&str; 3] = [bucket::CATALOG, bucket::REGISTRY, bucket::INSTANCES];

impl Permissions {
    /// The permissions of user `name` with `grants`.
    #[must_use]
    pub fn of(name: &UserName, grants: &Grants) -> Self {
        let mut permissions = Self::default();
        add(&mut permissions, name, grants);
        permissions
    }
}

/// Adds the rules of user `name`.
fn add(permissions: &mut Permissions, name: &UserName, grants: &Grants) {
    if grants.role() == Role::Operator {
        permissions.publish(">", purpose::EVERYTHING);
        permissions.subscribe(">", purpose::EVERYTHING);
        return;
    }
    permissions.publish(USER_INFO, purpose::IDENTITY);
    permissions.subscribe(inbox(name), purpose::IDENTITY);
    match grants.role() {
        Role::Observer => observer(permissions),
        Role::Invoker => {
            directory(permissions);
            for agents in grants.agents() {
                invoker(permissions, name, agents, &[]);
            }
        }
        Role::Worker => worker(permissions, name, grants),
        Role::WorkerPython => worker_python(permissions, name, grants),
        Role::Monitor => monitor(permissions),
        Role::Operator => {}
    }
    if grants.role().is_worker() {
        for agents in grants.may_call() {
            invoker(permissions, name, agents, grants.agents());
        }
    }
    for granted in grants.kv() {
        kv(permissions, granted);
    }
    for granted in grants.files() {
        shared_files(permissions, granted);
    }
}

/// Reads all of a key-value bucket without a consumer: single messages, and the writes from now on.
fn read(permissions: &mut Permissions, bucket: &str, purpose: &'static str) {
    let stream = stream_of(bucket);
    permissions.publish(stream_info(&stream), purpose);
    permissions.publish(message_get(&stream), purpose);
    permissions.subscribe(keys(bucket, ">"), purpose);
}

fn directory(permissions: &mut Permissions) {
    for bucket in DIRECTORY {
        read(permissions, bucket, purpose::READ_DIRECTORY);
    }
}

fn deaths(permissions: &mut Permissions) {
    permissions.subscribe(subject::ALL_DEATHS, purpose::DEATHS);
    for down in INSTANCES_DOWN {
        permissions.subscribe(down, purpose::DEATHS);
    }
}

fn observer(permissions: &mut Permissions) {
    for bucket in DIRECTORY.into_iter().chain([bucket::OBSERVABILITY]) {
        read(permissions, bucket, purpose::READ);
    }
    read(permissions, bucket::LEASES, purpose::READ_LEASE);
    deaths(permissions);
    for kind in ["logs", "errors"] {
        permissions.subscribe(of_agents(kind, &AgentPattern::All), purpose::LOGS);
    }
    // `mesh.agent.>` would show the requests of all callers.
    for subject in events(&AgentPattern::All) {
        permissions.subscribe(subject, purpose::LOGS);
    }
}

/// Calls `agents`. The user's `own` agents are those that it serves, whose events it publishes.
fn invoker(
    permissions: &mut Permissions,
    name: &UserName,
    agents: &AgentPattern,
    own: &[AgentPattern],
) {
    permissions.publish(of_agents("agent", agents), purpose::CALL);
    let requests = instance_requests("*.*", &agents.to_string());
    permissions.publish(requests, purpose::CALL);
    // A consumer returns credit for chunks, and answers the probes of hosts.
    permissions.publish("_INBOX.>", purpose::CALL);
    permissions.subscribe(format!("mesh.stream.{name}.>"), purpose::CALL);
    permissions.subscribe(format!("mesh.results.{name}.>"), purpose::CALL);
    for subject in events(agents) {
        permissions.subscribe(subject, purpose::CALL);
    }
    deaths(permissions);
    for subject in not_requests(agents) {
        if !events_of(own).any(|own| covers(&own, &subject)) {
            permissions.deny_publish(subject, purpose::NO_EVENTS);
        }
    }
}

/// The subjects of the events of all these agents.
fn events_of(agents: &[AgentPattern]) -> impl Iterator<Item = String> {
    agents.iter().flat_map(events)
}

fn worker(permissions: &mut Permissions, name: &UserName, grants: &Grants) {
    for bucket in DIRECTORY.into_iter().chain([bucket::OBSERVABILITY]) {
        read(permissions, bucket, purpose::READ);
    }
    deaths(permissions);
    let records = keys(bucket::INSTANCES, &format!("{name}.>"));
    permissions.publish(records, purpose::REGISTER);
    serve(permissions, name, grants);
}

/// All that workers do with the agents that they serve.
fn serve(permissions: &mut Permissions, name: &UserName, grants: &Grants) {
    for agents in grants.agents() {
        permissions.subscribe(of_agents("agent", agents), purpose::SERVE);
        // A record that names another agent must not bring its requests here.
        let requests = instance_requests(&format!("{name}.*"), &agents.to_string());
        permissions.subscribe(requests, purpose::SERVE);
        let contracts = keys(bucket::REGISTRY, &agents.to_string());
        permissions.publish(contracts, purpose::REGISTER);
        for subject in events(agents) {
            permissions.publish(subject, purpose::REPORT);
        }
        for kind in ["logs", "errors", "death"] {
            permissions.publish(of_agents(kind, agents), purpose::REPORT);
        }
    }
    for subject in grants.agents().iter().filter_map(events_of_channel_name) {
        let of_its_agents = [grants.agents(), grants.may_call()];
        if !of_its_agents
            .into_iter()
            .flat_map(events_of)
            .any(|own| covers(&own, &subject))
        {
            permissions.deny_subscribe(subject, purpose::NO_EVENTS_OF_OTHERS);
        }
    }
    for answers in ["_INBOX.>", "mesh.stream.>", "mesh.results.>"] {
        permissions.publish(answers, purpose::SERVE);
    }
}

/// As a worker, with what the SDK of Python needs beyond: it writes the catalog, reads with consumers, and its inboxes and
/// ids name no user.
fn worker_python(permissions: &mut Permissions, name: &UserName, grants: &Grants) {
    serve(permissions, name, grants);
    deaths(permissions);
    for agents in grants.agents() {
        let requests = instance_requests("*", &agents.to_string());
        permissions.subscribe(requests, purpose::SERVE);
    }
    for bucket in [bucket::CATALOG, bucket::INSTANCES] {
        permissions.publish(keys(bucket, ">"), purpose::PYTHON);
    }
    permissions.publish("$JS.API.STREAM.NAMES", purpose::PYTHON);
    permissions.publish(stream_info("*"), purpose::PYTHON);
    // As for the other roles, without values or files their streams are not read.
    let has_values = !grants.kv().is_empty();
    let buckets = KV_BUCKETS.into_iter();
    let read = buckets.filter(|&name| name != bucket::CONTEXT || has_values);
    let files = Some(FILES_STREAM.to_owned()).filter(|_| !grants.files().is_empty());
    let streams: Vec<String> = read.map(stream_of).chain(files).collect();
    for stream in &streams {
        permissions.publish(message_get(stream), purpose::PYTHON);
        permissions.publish(format!("$JS.API.CONSUMER.CREATE.{stream}"), purpose::PYTHON);
        permissions.publish(
            format!("$JS.API.CONSUMER.CREATE.{stream}.>"),
            purpose::PYTHON,
        );
        permissions.publish(format!("$JS.API.CONSUMER.INFO.{stream}.*"), purpose::PYTHON);
        permissions.publish(
            format!("$JS.API.CONSUMER.DELETE.{stream}.*"),
            purpose::PYTHON,
        );
        // The flow control of its consumers.
        permissions.publish(format!("$JS.FC.{stream}.>"), purpose::PYTHON);
    }
    for bucket in DIRECTORY.into_iter().chain([bucket::OBSERVABILITY]) {
        permissions.subscribe(keys(bucket, ">"), purpose::READ);
    }
    for answers in ["_INBOX.>", "mesh.stream.>", "mesh.results.>"] {
        permissions.subscribe(answers, purpose::SHARED_INBOX);
    }
}

fn monitor(permissions: &mut Permissions) {
    for bucket in DIRECTORY.into_iter().chain([bucket::OBSERVABILITY]) {
        read(permissions, bucket, purpose::READ);
    }
    read(permissions, bucket::LEASES, purpose::READ_LEASE);
    deaths(permissions);
    for bucket in DIRECTORY.into_iter().chain([bucket::LEASES]) {
        permissions.publish(keys(bucket, ">"), purpose::KEEP);
    }
    for subject in INSTANCES_DOWN
        .into_iter()
        .chain([subject::ALL_DEATHS, "mesh.logs.>"])
    {
        permissions.publish(subject, purpose::ANNOUNCE);
    }
    permissions.publish(ACCOUNT_QUESTIONS, purpose::CONNECTIONS);
    permissions.subscribe(subject::DISCONNECTS, purpose::CONNECTIONS);
}

/// Shared values. No role but the operator has a direct get: the server sends its answer, which is the stored message as it is, to
/// the reply subject of the request without a look at permissions. A user who writes a value and gets it directly could publish
/// anything on any subject. The answer of a message get is JSON of the server's own.
///
/// A message get has the key in its body, which permissions do not see. So a pattern narrows what is written, never what is read.
fn kv(permissions: &mut Permissions, granted: &Granted<KeyPattern>) {
    read(permissions, bucket::CONTEXT, purpose::READ_KV);
    if granted.access == Access::ReadWrite {
        let written = keys(bucket::CONTEXT, &granted.pattern.to_string());
        permissions.publish(written, purpose::WRITE_KV);
    }
}

/// Shared files, as shared values. The chunks of a file have subjects with a random id, so all of them may be written.
fn shared_files(permissions: &mut Permissions, granted: &Granted<FilePattern>) {
    permissions.publish(stream_info(FILES_STREAM), purpose::READ_FILES);
    permissions.publish(message_get(FILES_STREAM), purpose::READ_FILES);
    permissions.subscribe(file_metadata(&FilePattern::All), purpose::READ_FILES);
    if granted.access == Access::ReadWrite {
        permissions.publish(file_metadata(&granted.pattern), purpose::WRITE_FILES);
        permissions.publish(file_chunks(), purpose::WRITE_FILES);
    }
}
