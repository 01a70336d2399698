//! Dialing a NATS server.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{ErrorCode, InstanceId, UserToken};
use tokio::time::timeout;

use super::connection::Connection;
use super::credentials;
use super::diagnosis::{explain, may_listen, unreachable};
use super::dialer::Dialer;
use super::endpoint::Endpoint;
use super::lame_duck::leave_servers;
use super::monitor::ConnectionMonitor;
use super::options::{ConnectionOptions, Credentials};
use super::panic_hook;
use super::redial::supervise;
use super::servers::Servers;
use crate::error::{Error, Result};

/// The client's default for the first part of the subjects on which it receives replies.
const DEFAULT_INBOX_PREFIX: &str = "_INBOX";
/// After this time without a connection, the servers are probed for a listener.
const PROBE_AFTER: Duration = Duration::from_millis(400);
/// The limit of the whole attempt, whose servers are dialed one after the other.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The token of the user that connects: that of the options, or else of the JWT in the credentials.
///
/// # Errors
///
/// `configuration` when an option is invalid.
pub(crate) async fn user(
    endpoint: &Endpoint,
    options: &ConnectionOptions,
) -> Result<Option<UserToken>> {
    if let Some(user) = options.user()? {
        return Ok(Some(user));
    }
    // The attempt to connect reports other problems, in its order.
    let servers = Servers::parse(&endpoint.url);
    let login = servers.ok().and_then(|servers| servers.login);
    let credentials = credentials(endpoint, options, login).unwrap_or_default();
    Ok(credentials::user(&credentials).await)
}

/// Connects to the server that `endpoint` names. A user with a token is that of `instance_id`.
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
    let user = instance_id.user();
    let mut options = options.clone();
    if options.inbox_prefix.is_none() {
        options.inbox_prefix = user.as_ref().map(UserToken::inbox_prefix);
    }
    let inbox_prefix = options.inbox_prefix.as_deref();
    let dialer = Dialer {
        monitor: ConnectionMonitor::new(inbox_prefix.unwrap_or(DEFAULT_INBOX_PREFIX)),
        tls_required: options.requires_tls() || servers.require_tls(),
        options,
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
            let servers = dialer.servers.addresses.clone();
            let connection = Connection::new(supervise(dialed, dialer), &monitor, user.as_ref());
            let (slot, inbox) = (
                connection.slot().downgrade(),
                Arc::downgrade(&connection.inbox),
            );
            tokio::spawn(leave_servers(slot, inbox, monitor, servers));
            Ok(connection)
        }
        Err(error) => {
            let (credentials, tls_required) = (&dialer.credentials, dialer.tls_required);
            Err(explain(endpoint, servers, credentials, tls_required, error).await)
        }
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
        // Explicit credentials replace those of a context.
        (Some(option), Some(_)) if endpoint.source.context().is_some() => Ok(vec![option.clone()]),
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
