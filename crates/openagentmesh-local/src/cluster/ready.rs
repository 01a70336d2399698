//! Readiness of a cluster: its JetStream has a leader, and all nodes follow it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::leader::follow_one_leader;
use super::watched::WatchedNode;
use crate::LocalError;
use crate::background::Cancellation;
use crate::config::{SharedConfig, SystemCredentials};
use crate::launch::log_tail;

/// Maximum time for the nodes to form a cluster. An election takes up to 9 s, and on a busy machine more than one is needed.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum time of one question. Without a leader it stays unanswered.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(250);

/// Interval between two questions.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum length of an answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// The answer of the leader.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    meta_cluster: Option<MetaCluster>,
}

#[derive(Deserialize)]
struct MetaCluster {
    #[serde(default)]
    leader: String,
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
}

/// Waits until `nodes` form a cluster.
pub(crate) fn wait_ready(
    nodes: &[WatchedNode<'_>],
    shared: &SharedConfig,
    cancellation: &Cancellation,
) -> Result<(), LocalError> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        if is_ready(nodes, shared) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let log = nodes.first().map(|node| log_tail(node.directory));
            return Err(LocalError::ClusterNotReady {
                nodes: nodes.len(),
                waited: READY_TIMEOUT,
                log: log.unwrap_or_else(|| "(no node runs)".to_owned()),
            });
        }
        cancellation.check()?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Whether the nodes work together. `false` also if they cannot be asked: they may still be starting.
fn is_ready(nodes: &[WatchedNode<'_>], shared: &SharedConfig) -> bool {
    match (nodes, &shared.accounts) {
        ([], _) => false,
        // Nobody here has a login for the system account.
        (_, Some(_)) => follow_one_leader(nodes).unwrap_or(false),
        ([first, ..], None) => {
            let answer = ask(first.port, &shared.system).ok().flatten();
            answer.is_some_and(|answer| answer.is_of(nodes.len()))
        }
    }
}

impl Answer {
    /// Whether the leader and its followers are `nodes` nodes that work together.
    fn is_of(&self, nodes: usize) -> bool {
        self.data.meta_cluster.as_ref().is_some_and(|cluster| {
            let ready = cluster.replicas.iter().filter(|r| r.current && !r.offline);
            !cluster.leader.is_empty() && ready.count() + 1 >= nodes
        })
    }
}

/// Asks the leader for the state of the cluster. `None` if the connection ends before an answer.
fn ask(port: u16, system: &SystemCredentials) -> std::io::Result<Option<Answer>> {
    const SUBJECT: &str = "$SYS.REQ.SERVER.PING.JSZ";
    const BODY: &str = r#"{"leader_only":true}"#;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, QUESTION_TIMEOUT)?;
    stream.set_read_timeout(Some(QUESTION_TIMEOUT))?;
    let connect = serde_json::json!({
        "verbose": false,
        "user": system.user,
        "pass": system.password,
    });
    let length = BODY.len();
    write!(
        stream,
        "CONNECT {connect}\r\nSUB answer 1\r\nPUB {SUBJECT} answer {length}\r\n{BODY}\r\n"
    )?;
    let mut lines = BufReader::new(stream.take(MAX_ANSWER_BYTES));
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if line.starts_with("MSG ") {
            let length = line.trim_end().rsplit(' ').next();
            let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut answer = Vec::new();
            lines.take(length).read_to_end(&mut answer)?;
            return Ok(serde_json::from_slice(&answer).ok());
        }
        line.clear();
    }
    Ok(None)
}
