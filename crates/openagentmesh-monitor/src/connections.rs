//! The live connections of an account, as its servers report them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use openagentmesh_protocol::{ConnectionId, InstanceId};
use serde::Deserialize;

use crate::instance::Instance;

/// Whether a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Connected.
    Present,
    /// Not connected.
    Absent,
    /// Not known: the server of the connection has not answered.
    Unknown,
}

/// Live connections of an account.
///
/// A server answers a request to `$SYS.REQ.ACCOUNT.PING.CONNZ` for the account of the requester, without a system
/// credential (tried on nats-server 2.15.1).
///
/// ```
/// use openagentmesh_monitor::Connections;
///
/// let mut connections = Connections::default();
/// let report = br#"{"server": {"id": "NA"}, "data": {"total": 1, "offset": 0,
///     "connections": [{"cid": 5, "name": "oam-host-abc"}]}}"#;
/// assert_eq!(connections.add(report)?, None, "the report is complete");
/// # Ok::<(), openagentmesh_monitor::InvalidReport>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connections {
    /// Servers that have reported.
    servers: HashSet<String>,
    /// Each with its client name.
    ids: HashMap<ConnectionId, String>,
    names: HashSet<String>,
    /// Whether the names are those of all connections.
    is_complete: bool,
}

#[derive(Deserialize)]
struct Report {
    server: Server,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    subscriptions_list: Vec<String>,
}

/// The report of a server cannot be read.
#[derive(Debug)]
pub struct InvalidReport(String);

impl fmt::Display for InvalidReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid report of connections: {}", self.0)
    }
}

impl std::error::Error for InvalidReport {}

impl Connections {
    /// Adds the report of one server. Returns the offset of the next page, if the server has more connections.
    ///
    /// # Errors
    ///
    /// If `report` is not a server's report of connections.
    pub fn add(&mut self, report: &[u8]) -> Result<Option<u64>, InvalidReport> {
        self.add_if(report, |_| true)
    }

    /// Adds the connections of one server's report that serve `subject`: those with a subscription to exactly that
    /// subject. The report needs the subscriptions. A connection that listens by a wildcard, such as that of
    /// `oam mesh listen 'mesh.>'`, is not added. Returns the offset of the next page, as [`add`](Self::add).
    ///
    /// # Errors
    ///
    /// If `report` is not a server's report of connections.
    pub fn add_hosts(
        &mut self,
        report: &[u8],
        subject: &str,
    ) -> Result<Option<u64>, InvalidReport> {
        self.add_if(report, |connection| {
            let mut subscriptions = connection.subscriptions_list.iter();
            subscriptions.any(|subscription| subscription == subject)
        })
    }

    fn add_if(
        &mut self,
        report: &[u8],
        is_added: impl Fn(&Connection) -> bool,
    ) -> Result<Option<u64>, InvalidReport> {
        let report: Report =
            serde_json::from_slice(report).map_err(|error| InvalidReport(error.to_string()))?;
        let Some(data) = report.data else {
            return Err(InvalidReport("the server reports an error".to_owned()));
        };
        let next = data.offset.saturating_add(data.connections.len() as u64);
        let has_more = !data.connections.is_empty() && next < data.total;
        for connection in data.connections.into_iter().filter(is_added) {
            let id = ConnectionId {
                server_id: report.server.id.clone(),
                client_id: connection.cid,
            };
            self.insert(id, &connection.name);
        }
        self.servers.insert(report.server.id);
        Ok(has_more.then_some(next))
    }

    /// Adds one connection.
    pub fn insert(&mut self, id: ConnectionId, name: &str) {
        self.servers.insert(id.server_id.clone());
        self.ids.insert(id, name.to_owned());
        self.names.insert(name.to_owned());
    }

    /// Adds a server that has reported.
    pub fn insert_server(&mut self, server_id: &str) {
        self.servers.insert(server_id.to_owned());
    }

    /// Marks the connections as all of the account: every server of the mesh has reported all of its connections.
    pub fn set_complete(&mut self) {
        self.is_complete = true;
    }

    /// The number of servers that have reported.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Whether a connection other than that of `instance` was reported.
    #[must_use]
    pub fn has_other_than(&self, instance: &Instance) -> bool {
        let own = instance.record.connection();
        self.ids.keys().any(|id| Some(id) != own.as_ref())
    }

    /// Whether the connections are exactly those that the records of `instances` name, apart from connections under the
    /// client name of instance `gone`.
    #[must_use]
    pub fn are_those_of<'i>(
        &self,
        instances: impl IntoIterator<Item = &'i Instance>,
        gone: &InstanceId,
    ) -> bool {
        let mut named = HashSet::new();
        for instance in instances {
            let Some(connection) = instance.record.connection() else {
                return false;
            };
            named.insert(connection);
        }
        let gone = gone.client_name();
        let mut living = self.ids.iter().filter(|(_, name)| **name != gone);
        living.all(|(id, _)| named.contains(id)) && named.iter().all(|id| self.ids.contains_key(id))
    }

    /// Whether a connection under the client name of instance `id` was reported.
    #[must_use]
    pub fn has_client(&self, id: &InstanceId) -> bool {
        self.names.contains(&id.client_name())
    }

    /// The number of connections that were reported.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no connection was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether `instance` is connected. A record that names its connection is judged by that connection. Any other
    /// record is judged by the client name: the instance counts as connected while a client has the name.
    #[must_use]
    pub fn presence(&self, instance: &Instance) -> Presence {
        let (found, is_known) = match instance.record.connection() {
            Some(connection) => (
                self.ids.contains_key(&connection),
                self.servers.contains(&connection.server_id),
            ),
            None => (
                self.names.contains(&instance.id.client_name()),
                self.is_complete,
            ),
        };
        match (found, is_known) {
            (true, _) => Presence::Present,
            (false, true) => Presence::Absent,
            (false, false) => Presence::Unknown,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use openagentmesh_protocol::{InstanceId, InstanceRecord};

    use super::*;

    fn instance(connection: Option<(&str, u64)>) -> Instance {
        Instance {
            id: InstanceId::parse("abc").unwrap(),
            record: InstanceRecord {
                server_id: connection.map(|(server, _)| server.to_owned()),
                client_id: connection.map(|(_, client)| client),
                ..InstanceRecord::default()
            },
            revision: 1,
        }
    }

    #[test]
    fn listener_by_a_wildcard_is_no_host() {
        let report = |subscriptions: &str| {
            format!(
                r#"{{"server": {{"id": "A"}}, "data": {{"total": 1, "offset": 0, "connections":
                [{{"cid": 5, "name": "x", "subscriptions_list": {subscriptions}}}]}}}}"#
            )
        };
        for (subscriptions, is_host) in [
            (r#"["mesh.>"]"#, false),
            (r#"["mesh.agent.*"]"#, false),
            ("[]", false),
            (r#"["mesh.>", "mesh.agent.echo"]"#, true),
        ] {
            let mut connections = Connections::default();
            let next = connections.add_hosts(report(subscriptions).as_bytes(), "mesh.agent.echo");
            assert_eq!(next.unwrap(), None);
            assert_eq!(!connections.is_empty(), is_host, "{subscriptions}");
        }
    }

    fn reported(server: &str, clients: &[(u64, &str)]) -> Connections {
        let mut connections = Connections::default();
        connections.insert_server(server);
        for (client_id, name) in clients {
            let server_id = server.to_owned();
            let client_id = *client_id;
            connections.insert(
                ConnectionId {
                    server_id,
                    client_id,
                },
                name,
            );
        }
        connections
    }

    #[test]
    fn connection_under_the_name_of_another_instance_is_no_sign_of_it() {
        let connections = reported("A", &[(2, "oam-host-abc")]);
        let named = instance(Some(("A", 1)));
        assert_eq!(connections.presence(&named), Presence::Absent);
    }

    #[test]
    fn connection_at_a_silent_server_is_unknown() {
        let connections = reported("A", &[(1, "oam-host-abc")]);
        let elsewhere = instance(Some(("B", 1)));
        assert_eq!(connections.presence(&elsewhere), Presence::Unknown);
    }

    #[test]
    fn record_without_a_connection_is_judged_by_name_once_all_servers_have_reported() {
        let mut connections = reported("A", &[(1, "other")]);
        assert_eq!(connections.presence(&instance(None)), Presence::Unknown);
        connections.set_complete();
        assert_eq!(connections.presence(&instance(None)), Presence::Absent);
        let connections = reported("A", &[(1, "oam-host-abc")]);
        assert_eq!(connections.presence(&instance(None)), Presence::Present);
    }

    #[test]
    fn report_with_more_connections_gives_the_offset_of_the_next_page() {
        let mut connections = Connections::default();
        let page = br#"{"server":{"id":"A"},"data":{"total":3,"offset":0,"connections":[{"cid":1},{"cid":2}]}}"#;
        assert_eq!(connections.add(page).unwrap(), Some(2));
        let page =
            br#"{"server":{"id":"A"},"data":{"total":3,"offset":2,"connections":[{"cid":3}]}}"#;
        assert_eq!(connections.add(page).unwrap(), None);
        // A server whose total is wrong must not be asked without end.
        let page = br#"{"server":{"id":"A"},"data":{"total":9,"offset":3,"connections":[]}}"#;
        assert_eq!(connections.add(page).unwrap(), None);
    }

    #[test]
    fn connections_of_instances_are_those_that_their_records_name() {
        let [one, two] = [instance(Some(("A", 1))), instance(Some(("A", 2)))];
        let gone = InstanceId::parse("gone").unwrap();
        let both = reported("A", &[(1, "oam-host-one"), (2, "oam-host-two")]);
        assert!(both.are_those_of([&one, &two], &gone));
        assert!(!both.are_those_of([&one], &gone), "a host without a record");
        let unnamed = instance(None);
        assert!(!both.are_those_of([&one, &two, &unnamed], &gone));
        let single = reported("A", &[(1, "oam-host-one")]);
        assert!(!single.are_those_of([&one, &two], &gone), "two reconnects");
        let frozen = reported("A", &[(1, "oam-host-one"), (3, "oam-host-gone")]);
        assert!(frozen.are_those_of([&one], &gone));
    }

    #[test]
    fn malformed_report_is_an_error() {
        let mut connections = Connections::default();
        for report in [
            "",
            "[]",
            "{}",
            r#"{"server":{"id":1}}"#,
            r#"{"server":{"id":"A"},"error":{"code":400}}"#,
            r#"{"server":{"id":"A"},"data":{"connections":[{"cid":-1}]}}"#,
        ] {
            assert!(connections.add(report.as_bytes()).is_err(), "{report}");
        }
        assert_eq!(connections, Connections::default());
    }
}
