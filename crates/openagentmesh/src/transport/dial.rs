//! Dialing a NATS server.

use std::time::Duration;

use async_nats::ReconnectToServer;
use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, InstanceId};
use tokio::time::timeout;

use super::connection::Connection;
use super::credentials;
use super::diagnosis::{explain, may_listen, unreachable};
use super::endpoint::Endpoint;
use super::monitor::ConnectionMonitor;
use super::options::{ClientCertificate, ConnectionOptions, Credentials};
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
    options.check().await?;
    let servers = Servers::parse(&endpoint.url)?;
    let credentials = credentials(endpoint, options, servers.login.clone())?;
    for credentials in &credentials {
        credentials::check(credentials).await?;
    }
    let tls_required = options.requires_tls() || servers.require_tls();
    let monitor = ConnectionMonitor::new(
        options
            .inbox_prefix
            .as_deref()
            .unwrap_or(DEFAULT_INBOX_PREFIX),
    );
    let mut client = client_options(options, instance_id, &monitor, credentials.clone());
    if tls_required {
        client = client.require_tls(true);
    }
    if servers.are_mixed() {
        client = client.ignore_discovered_servers();
    }
    let mut connecting = std::pin::pin!(client.connect(servers.addresses.clone()));
    let connected = match timeout(PROBE_AFTER, &mut connecting).await {
        Ok(connected) => connected,
        // A distant server with TLS may take longer than a user should wait for a missing one.
        Err(_) if may_listen(&servers).await => match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected,
            Err(_) => return Err(unreachable(endpoint, &servers, "connection timed out")),
        },
        Err(_) => return Err(unreachable(endpoint, &servers, "connection timed out")),
    };
    match connected {
        Ok(client) => Ok(Connection::new(client, &monitor)),
        Err(error) => Err(explain(endpoint, &servers, &credentials, tls_required, error).await),
    }
}

/// The client's options.
fn client_options(
    options: &ConnectionOptions,
    instance_id: &InstanceId,
    monitor: &ConnectionMonitor,
    credentials: Vec<Credentials>,
) -> async_nats::ConnectOptions {
    let (events, gate) = (monitor.clone(), monitor.clone());
    let mut client = credentials::client_options(credentials)
        .name(match &options.name {
            Some(name) => name.clone(),
            None => instance_id.client_name(),
        })
        .connection_timeout(HANDSHAKE_TIMEOUT)
        // Every request has a deadline of its own.
        .request_timeout(None)
        .event_callback(move |event| {
            events.observe(&event);
            std::future::ready(())
        })
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
