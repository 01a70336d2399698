//! Connecting to a mesh.
//!
//! What is public and waits is boxed inside, here and in `mesh`: the compiler makes the code of an `async fn`
//! where it is awaited, and with it that of all it calls, which would be in every program anew.

use std::time::Duration;

use async_nats::{ConnectErrorKind, ReconnectToServer, ServerAddr};
use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, InstanceId};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

use super::connection::{Connection, ConnectionMonitor};
use super::endpoint::{Endpoint, EndpointSource};
use crate::error::{Error, Result};

/// After this time without a connection, whether anything listens at all is looked at.
const REACHABLE: Duration = Duration::from_millis(400);
/// How long to wait for a listener then.
const PROBE: Duration = Duration::from_millis(450);
/// How long a listener may take to greet, secure and authenticate.
const HANDSHAKE: Duration = Duration::from_secs(5);

pub(crate) async fn dial(endpoint: &Endpoint, instance_id: &InstanceId) -> Result<Connection> {
    let servers = parse(&endpoint.url)?;
    let observer = ConnectionMonitor::new();
    let (observing, reconnecting) = (observer.clone(), observer.clone());
    let mut options = async_nats::ConnectOptions::new()
        .name(instance_id.client_name())
        .connection_timeout(HANDSHAKE)
        // Each call has a deadline of its own.
        .request_timeout(None)
        .event_callback(move |event| {
            observing.observe(&event);
            std::future::ready(())
        })
        // The pauses are ours, because they end when the connection is given up.
        .reconnect_delay_callback(|_attempts| Duration::ZERO)
        .reconnect_to_server_callback(move |servers, _info| {
            let reconnect_gate = reconnecting.clone().reconnect_gate();
            // Which one of several it is, the client chooses, after a millisecond of its timer.
            let only = match servers.as_slice() {
                [only] => Some(ReconnectToServer {
                    addr: only.addr.clone(),
                    delay: None,
                }),
                _ => None,
            };
            reconnect_gate.map(|()| only)
        });
    if let Some((user, password)) = servers.iter().find_map(login) {
        options = match password {
            Some(password) => options.user_and_password(user, password),
            None => options.token(user),
        };
    }
    if let Some(path) = &endpoint.credentials {
        options = options.credentials_file(path).await.map_err(|error| {
            Error::raised(
                ErrorCode::ConnectionDenied,
                format!(
                    "cannot read the credentials file {}: {error}",
                    path.display()
                ),
            )
            .with_source(error)
        })?;
    }
    let mut connecting = std::pin::pin!(options.connect(servers.clone()));
    let connected = match tokio::time::timeout(REACHABLE, &mut connecting).await {
        Ok(connected) => connected,
        // A far server with TLS may need longer than a user should wait for one that is not there.
        Err(_) if listens(&servers).await => connecting.await,
        Err(_) => return Err(unreachable(endpoint, "nothing answers there".to_owned())),
    };
    connected
        .map(|client| Connection::new(client, &observer))
        .map_err(|error| explain(endpoint, error))
}

fn parse(url: &str) -> Result<Vec<ServerAddr>> {
    url.split(',').map(|one| parse_one(one.trim())).collect()
}

fn parse_one(url: &str) -> Result<ServerAddr> {
    let invalid = |reason: String| {
        Error::raised(
            ErrorCode::InvalidInput,
            format!(
                "'{}' is not the URL of a NATS server ({reason}); \
                 one looks like nats://127.0.0.1:4222",
                redact_credentials(url)
            ),
        )
    };
    let server: ServerAddr = url
        .parse()
        .map_err(|error: std::io::Error| invalid(error.to_string()).with_source(error))?;
    if server.host().is_empty() {
        return Err(invalid("it names no host".to_owned()));
    }
    Ok(server)
}

/// What stands before the host: a user and a password, or a token alone. The client does not look
/// there by itself.
fn login(server: &ServerAddr) -> Option<(String, Option<String>)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(server.username()?), server.password().map(decoded)))
}

/// Whether any of `servers` takes connections.
async fn listens(servers: &[ServerAddr]) -> bool {
    let dials = servers.iter().map(|server| {
        Box::pin(async move { TcpStream::connect((server.host(), server.port())).await })
    });
    tokio::time::timeout(PROBE, futures::future::select_ok(dials))
        .await
        .is_ok_and(|first| first.is_ok())
}

fn explain(endpoint: &Endpoint, error: async_nats::ConnectError) -> Error {
    let failure = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Error::raised(
                ErrorCode::ConnectionDenied,
                format!(
                    "the mesh at {} refused the credentials ({error}); \
                 name a credentials file with OAM_CREDS or in .oam-url",
                    redact_credentials(&endpoint.url)
                ),
            )
        }
        ConnectErrorKind::Tls => Error::raised(
            ErrorCode::ConnectionFailed,
            format!(
                "cannot secure the connection to the mesh at {}: {error}",
                redact_credentials(&endpoint.url)
            ),
        ),
        _ => unreachable(endpoint, error.to_string()),
    };
    failure.with_source(error)
}

fn unreachable(endpoint: &Endpoint, reason: String) -> Error {
    let named_by = match &endpoint.source {
        EndpointSource::Explicit => String::new(),
        EndpointSource::Variable => " (from OAM_URL)".to_owned(),
        EndpointSource::File(path) => format!(" (from {})", path.display()),
        EndpointSource::Default => " (the default)".to_owned(),
    };
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!(
            "cannot reach the mesh at {}{named_by}: {reason}; is it running? try: oam mesh up",
            redact_credentials(&endpoint.url)
        ),
    )
}

/// The URL without the login that may stand in it.
pub(crate) fn redact_credentials(url: &str) -> String {
    let one = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => url.to_owned(),
        }
    };
    url.split(',')
        .map(|url| one(url.trim()))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::redact_credentials;

    #[test]
    fn a_password_is_never_redact_credentials() {
        assert_eq!(
            redact_credentials("nats://user:secret@host:4222"),
            "nats://host:4222"
        );
        assert_eq!(redact_credentials("user:secret@host:1"), "nats://host:1");
        assert_eq!(
            redact_credentials("nats://a:1, nats://t@b:2"),
            "nats://a:1,nats://b:2"
        );
    }
}
