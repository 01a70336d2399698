//! Dialing a NATS server.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use async_nats::{ConnectErrorKind, ReconnectToServer, ServerAddr};
use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, InstanceId};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::endpoint::{Endpoint, EndpointSource, redact_credentials};
use super::monitor::ConnectionMonitor;
use super::options::{ClientCertificate, ConnectionOptions, Credentials, Secret};
use crate::error::{Error, Result};

/// After this time without a connection, the servers are probed for a listener.
const PROBE_AFTER: Duration = Duration::from_millis(400);
/// The time that the probe waits for a listener.
const PROBE_TIMEOUT: Duration = Duration::from_millis(450);
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
    let (servers, login) = parse(&endpoint.url)?;
    let credentials = credentials(endpoint, options, login)?;
    let monitor = ConnectionMonitor::new();
    let mut client = client_options(options, instance_id, &monitor);
    for credentials in &credentials {
        client = credentials.apply(client).await?;
    }
    let mut connecting = std::pin::pin!(client.connect(servers.clone()));
    let connected = match tokio::time::timeout(PROBE_AFTER, &mut connecting).await {
        Ok(connected) => connected,
        // A distant server with TLS may take longer than a user should wait for a missing one.
        Err(_) if any_listens(&servers).await => connecting.await,
        Err(_) => return Err(unreachable(endpoint, "connection timed out")),
    };
    connected
        .map(|client| Connection::new(client, &monitor))
        .map_err(|error| explain(endpoint, &credentials, error))
}

/// The client's options, but for credentials.
fn client_options(
    options: &ConnectionOptions,
    instance_id: &InstanceId,
    monitor: &ConnectionMonitor,
) -> async_nats::ConnectOptions {
    let (events, gate) = (monitor.clone(), monitor.clone());
    let mut client = async_nats::ConnectOptions::new()
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
    if options.requires_tls() {
        client = client.require_tls(true);
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

/// The servers of a URL, without the login of the first that has one, and that login.
fn parse(urls: &str) -> Result<(Vec<ServerAddr>, Option<Credentials>)> {
    let parsed = urls.split(',').map(|url| parse_one(url.trim()));
    let parsed = parsed.collect::<Result<Vec<_>>>()?;
    let (servers, logins): (Vec<_>, Vec<_>) = parsed.into_iter().unzip();
    Ok((servers, logins.into_iter().flatten().next()))
}

fn parse_one(url: &str) -> Result<(ServerAddr, Option<Credentials>)> {
    let invalid = |reason: &str| {
        Error::raised(
            ErrorCode::Configuration,
            format!(
                "invalid URL '{}': {reason}; use the form nats://127.0.0.1:4222",
                redact_credentials(url)
            ),
        )
    };
    let server: ServerAddr = url
        .parse()
        .map_err(|error: io::Error| invalid(&error.to_string()).with_source(error))?;
    if server.host().is_empty() {
        return Err(invalid("the host is missing"));
    }
    let login = login(&server);
    // The client does not read the login, and might log it.
    let mut url = server.into_inner();
    if login.is_some() && (url.set_username("").is_err() || url.set_password(None).is_err()) {
        return Err(invalid("it cannot have a login"));
    }
    let server = ServerAddr::from_url(url).map_err(|error| invalid(&error.to_string()))?;
    Ok((server, login))
}

/// The login before the host: a user and a password, or a token.
fn login(server: &ServerAddr) -> Option<Credentials> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(server.username()?);
    Some(match server.password() {
        Some(password) => Credentials::UserAndPassword {
            user,
            password: Secret::new(decoded(password)),
        },
        None => Credentials::Token(Secret::new(user)),
    })
}

/// Whether any of `servers` accepts connections.
async fn any_listens(servers: &[ServerAddr]) -> bool {
    let dials = servers.iter().map(|server| {
        Box::pin(async move { TcpStream::connect((server.host(), server.port())).await })
    });
    tokio::time::timeout(PROBE_TIMEOUT, futures::future::select_ok(dials))
        .await
        .is_ok_and(|first| first.is_ok())
}

fn explain(
    endpoint: &Endpoint,
    credentials: &[Credentials],
    error: async_nats::ConnectError,
) -> Error {
    let url = redact_credentials(&endpoint.url);
    let failure = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            let remedy = match credentials {
                [] => "set credentials, e.g. by OAM_CREDS or in .oam-url".to_owned(),
                [Credentials::File(path), ..] => format!("check {}", path.display()),
                [other, ..] => format!("check {}", other.option()),
            };
            Error::raised(
                ErrorCode::ConnectionDenied,
                format!("connection denied by the mesh at {url}: {error}; {remedy}"),
            )
        }
        _ if is_tls_failure(&error) => Error::raised(
            ErrorCode::ConnectionFailed,
            format!(
                "TLS failed with the mesh at {url}: {error}; check the server's certificate and the \
                 options ca_file and client_certificate"
            ),
        ),
        _ => unreachable(endpoint, &error.to_string()),
    };
    failure.with_source(error)
}

/// The client reports a failed handshake as an I/O error of invalid data.
fn is_tls_failure(error: &async_nats::ConnectError) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let mut io_errors = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    error.kind() == ConnectErrorKind::Tls
        || io_errors.any(|error| error.kind() == io::ErrorKind::InvalidData)
}

fn unreachable(endpoint: &Endpoint, reason: &str) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_servers_have_no_login() {
        let (servers, login) = parse("nats://a:1,nats://user:se%63ret@b:2").unwrap();
        let hosts: Vec<_> = servers.iter().map(ServerAddr::as_url_str).collect();
        assert_eq!(hosts, ["nats://a:1", "nats://b:2"]);
        assert!(matches!(
            login,
            Some(Credentials::UserAndPassword { user, password })
                if user == "user" && password.reveal() == "secret"
        ));
    }
}
