//! Dialing a NATS server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectError, ReconnectToServer};
use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, InstanceId};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::Connection;
use super::credentials;
use super::diagnosis::{explain, may_listen, unreachable};
use super::endpoint::Endpoint;
use super::monitor::ConnectionMonitor;
use super::options::{ClientCertificate, ConnectionOptions, Credentials};
use super::panic_hook;
use super::redial::{Dialed, Events};
use super::servers::Servers;
use crate::error::{Error, Result};

/// The client's default for the first part of the subjects on which it receives replies.
const DEFAULT_INBOX_PREFIX: &str = "_INBOX";
/// After this time without a connection, the servers are probed for a listener.
const PROBE_AFTER: Duration = Duration::from_millis(400);
/// The limit of the whole attempt, whose servers are dialed one after the other.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The limit of a listener's greeting, TLS negotiation and authentication.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the server that `endpoint` names.
///
/// # Errors
///
/// `configuration` when an option is invalid; `connection_failed` when nothing answers or the answer is
/// not that of a NATS server; `connection_denied` when the server refuses the credentials.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    options: &ConnectionOptions,
    instance_id: &InstanceId,
) -> Result<Connection> {
    panic_hook::install();
    options.check().await?;
    let servers = Servers::parse(&endpoint.url)?;
    let credentials = credentials(endpoint, options, servers.login.clone())?;
    for credentials in &credentials {
        credentials::check(credentials).await?;
    }
    let inbox_prefix = options.inbox_prefix.as_deref();
    let dialer = Dialer {
        monitor: ConnectionMonitor::new(inbox_prefix.unwrap_or(DEFAULT_INBOX_PREFIX)),
        tls_required: options.requires_tls() || servers.require_tls(),
        options: options.clone(),
        instance_id: instance_id.clone(),
        servers,
        credentials,
    };
    let servers = &dialer.servers;
    let connected = {
        let mut connecting = std::pin::pin!(dialer.connect(Vec::new()));
        match timeout(PROBE_AFTER, &mut connecting).await {
            Ok(connected) => connected,
            // A distant server with TLS may take longer than a user should wait for a missing one.
            Err(_) if may_listen(servers).await => {
                match timeout(CONNECT_TIMEOUT, connecting).await {
                    Ok(connected) => connected,
                    Err(_) => return Err(unreachable(endpoint, servers, "connection timed out")),
                }
            }
            Err(_) => return Err(unreachable(endpoint, servers, "connection timed out")),
        }
    };
    match connected {
        Ok(dialed) => {
            let monitor = dialer.monitor.clone();
            Ok(Connection::new(dialed.supervise(dialer), &monitor))
        }
        Err(error) => {
            let (credentials, tls_required) = (&dialer.credentials, dialer.tls_required);
            Err(explain(endpoint, servers, credentials, tls_required, error).await)
        }
    }
}

/// Dials the servers of a connection.
pub(super) struct Dialer {
    pub(super) monitor: ConnectionMonitor,
    options: ConnectionOptions,
    instance_id: InstanceId,
    servers: Servers,
    credentials: Vec<Credentials>,
    tls_required: bool,
}

impl Dialer {
    /// Tries each server once, and those at the `discovered` addresses.
    pub(super) async fn connect(&self, discovered: Vec<String>) -> Result<Dialed, ConnectError> {
        let events = Events::new(&self.monitor);
        let (alive, death) = oneshot::channel();
        let mut client = self.client_options().event_callback({
            let events = Arc::clone(&events);
            move |event| {
                // Dropped with the callback, and so with the client.
                let _: &oneshot::Sender<Infallible> = &alive;
                events.observe(&event);
                std::future::ready(())
            }
        });
        if self.tls_required {
            client = client.require_tls(true);
        }
        let mut addresses = self.servers.addresses.clone();
        if self.servers.are_mixed() {
            client = client.ignore_discovered_servers();
        } else {
            let discovered = discovered.iter().filter_map(|url| url.parse().ok());
            for server in discovered {
                if !addresses.contains(&server) {
                    addresses.push(server);
                }
            }
        }
        Ok(Dialed {
            client: client.connect(addresses).await?,
            events,
            death,
        })
    }

    /// The client's options, without a callback for events.
    fn client_options(&self) -> async_nats::ConnectOptions {
        let (options, gate) = (&self.options, self.monitor.clone());
        let mut client = credentials::client_options(self.credentials.clone())
            .name(match &options.name {
                Some(name) => name.clone(),
                None => self.instance_id.client_name(),
            })
            .connection_timeout(HANDSHAKE_TIMEOUT)
            // Every request has a deadline of its own.
            .request_timeout(None)
            // The monitor delays attempts, because its delays end when the connection is closed.
            .reconnect_delay_callback(|_attempts| Duration::ZERO)
            .reconnect_to_server_callback(move |servers, _info| {
                let reconnect_gate = gate.clone().reconnect_gate();
                // Among several servers the client chooses, which costs it a millisecond of its timer.
                let only = match servers.as_slice() {
                    [only] => Some(ReconnectToServer {
                        addr: only.addr.clone(),
                        delay: None,
                    }),
                    _ => None,
                };
                reconnect_gate.map(|()| only)
            });
        if let Some(prefix) = &options.inbox_prefix {
            client = client.custom_inbox_prefix(prefix);
        }
        if let Some(path) = &options.ca_file {
            client = client.add_root_certificates(path.clone());
        }
        if let Some(ClientCertificate { certificate, key }) = &options.client_certificate {
            client = client.add_client_certificate(certificate.clone(), key.clone());
        }
        client
    }
}

/// The credentials of the connection: an option, or else the login in the URL and the credentials
/// file that the environment names.
fn credentials(
    endpoint: &Endpoint,
    options: &ConnectionOptions,
    login: Option<Credentials>,
) -> Result<Vec<Credentials>> {
    match (options.credentials()?, login) {
        (Some(option), Some(_)) => Err(Error::raised(
            ErrorCode::Configuration,
            format!(
                "conflicting options url and {}: the URL has a login, too; remove one of them",
                option.option()
            ),
        )),
        (Some(option), None) => Ok(vec![option.clone()]),
        (None, login) => {
            let file = endpoint.credentials.clone().map(Credentials::File);
            Ok(login.into_iter().chain(file).collect())
        }
    }
}
