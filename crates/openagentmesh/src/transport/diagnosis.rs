//! The reason of a failed connect, and its remedy.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, ServerAddr};
use openagentmesh_protocol::ErrorCode;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::any_address;
use super::credentials::expired_at;
use super::endpoint::{Endpoint, EndpointSource};
use super::options::Credentials;
use super::servers::Servers;
use super::url::redacted_url;
use crate::error::Error;

/// The time that a probe waits for a listener.
const PROBE_TIMEOUT: Duration = Duration::from_millis(450);
/// The time that a peer has for the start of its greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum size of a greeting that is read, in bytes.
const MAX_GREETING_BYTES: usize = 32 * 1024;
/// The maximum number of characters of a foreign greeting in an error text.
const MAX_SHOWN_CHARS: usize = 40;

/// Whether any of `servers` may accept a connection: one does, or its name is still being resolved.
pub(super) async fn may_listen(servers: &Servers) -> bool {
    let probes = servers
        .addresses
        .iter()
        .map(|server| Box::pin(probe(server)));
    futures::future::select_ok(probes).await.is_ok()
}

/// `Err` when nothing accepts connections at the server's addresses.
async fn probe(server: &ServerAddr) -> Result<(), ()> {
    let Ok(resolved) = timeout(PROBE_TIMEOUT, server.socket_addrs()).await else {
        return Ok(());
    };
    // The client reports the failure of the name in its own error.
    let Ok(addresses) = resolved.map(Iterator::collect::<Vec<_>>) else {
        return Ok(());
    };
    match timeout(PROBE_TIMEOUT, any_address::connect_to(&addresses)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

/// The error of a connect that failed with `error`.
pub(super) async fn explain(
    endpoint: &Endpoint,
    servers: &Servers,
    credentials: &[Credentials],
    tls_required: bool,
    error: ConnectError,
) -> Error {
    let url = redacted_url(&endpoint.url);
    let failure = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            denied(endpoint, servers, credentials, &error).await
        }
        ConnectErrorKind::Dns => failed(format!(
            "cannot reach the mesh at {url}{}: the host name cannot be resolved ({error}); check the name \
             and the network",
            named_by(endpoint)
        )),
        _ if is_refused(&error) => unreachable(endpoint, servers, &error.to_string()),
        _ => {
            let greeting = match servers.addresses.as_slice() {
                [only] => Greeting::read(only).await,
                _ => Greeting::Unknown,
            };
            let is_tls = is_tls_failure(&error);
            match greeting {
                Greeting::Nats(info) if tls_required && !info.offers_tls() => failed(format!(
                    "TLS failed with the mesh at {url}: the server does not offer TLS on this port; set it \
                     up at the server, or connect without TLS (nats:// and no ca_file or \
                     client_certificate) if the network is trusted"
                )),
                _ if is_tls => failed(format!(
                    "TLS failed with the mesh at {url}: {error}; check the server's certificate, its \
                     authority, which SSL_CERT_FILE or the option ca_file names, and the option client_certificate"
                )),
                Greeting::Other(text) => failed(format!(
                    "the peer at {url} is not a NATS server: its greeting is {text:?}; use the server's \
                     client port, 4222 by default"
                )),
                Greeting::Silent => failed(format!(
                    "the peer at {url} does not greet as a NATS server: {error}; use the server's client \
                     port, 4222 by default, and do not set handshake_first there"
                )),
                Greeting::Nats(_) | Greeting::Unknown => {
                    unreachable(endpoint, servers, &error.to_string())
                }
            }
        }
    };
    failure.with_source(error)
}

/// The error of a server that refuses the credentials.
async fn denied(
    endpoint: &Endpoint,
    servers: &Servers,
    credentials: &[Credentials],
    error: &ConnectError,
) -> Error {
    let context = endpoint.source.context();
    let place = |credentials: &Credentials| match (credentials, context) {
        (Credentials::File(path), _) => path.display().to_string(),
        (_, Some(context)) if servers.login.is_some() => {
            format!("the login in the URL of context {context}")
        }
        (_, None) if servers.login.is_some() => "the login in the URL".to_owned(),
        (other, _) => other.option().to_owned(),
    };
    let (state, cause) = match credentials {
        [] => (
            "missing",
            match context {
                Some(context) => format!(
                    "the server asks for credentials, and context {context} has none; name a credentials file by \
                     OAM_CREDS or with credentials(), or store it with the context: oam context add {context} URL \
                     --creds FILE --replace"
                ),
                None => "the server asks for credentials and got none; name a credentials file by OAM_CREDS, in \
                         .oam-url or with credentials()"
                    .to_owned(),
            },
        ),
        [first, rest @ ..] => {
            let mut expired = expired_at(first).await.map(|at| (first, at));
            for credentials in rest {
                if expired.is_none() {
                    expired = expired_at(credentials).await.map(|at| (credentials, at));
                }
            }
            match expired {
                Some((credentials, at)) => (
                    "expired",
                    format!(
                        "the credentials expired at {at}; renew {}",
                        place(credentials)
                    ),
                ),
                None => ("refused", format!("{error}; check {}", place(first))),
            }
        }
    };
    Error::raised(
        ErrorCode::ConnectionDenied,
        format!(
            "connection denied by the mesh at {}: {cause}",
            redacted_url(&endpoint.url)
        ),
    )
    .with_detail("credentials", state)
}

fn failed(message: String) -> Error {
    Error::raised(ErrorCode::ConnectionFailed, message)
}

/// Whether nothing listens at the address.
fn is_refused(error: &ConnectError) -> bool {
    io_errors(error).any(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The client reports a failed handshake as an I/O error of invalid data.
fn is_tls_failure(error: &ConnectError) -> bool {
    error.kind() == ConnectErrorKind::Tls
        || io_errors(error).any(|error| error.kind() == io::ErrorKind::InvalidData)
}

fn io_errors(error: &ConnectError) -> impl Iterator<Item = &io::Error> {
    std::iter::successors(error.source(), |&cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
}

/// The error of a mesh that does not answer.
pub(super) fn unreachable(endpoint: &Endpoint, servers: &Servers, reason: &str) -> Error {
    // The mesh of the command is at its default port, and another `.oam-url` would not replace a URL that is named
    // otherwise.
    let may_be_started = matches!(
        endpoint.source,
        EndpointSource::Default | EndpointSource::File(_)
    );
    let remedy = match (servers.are_local(), may_be_started) {
        (true, true) => "is it running? try: oam mesh up",
        (true, false) => "check the port, and that the server runs",
        (false, _) => "check the address, and that the server runs and can be reached from here",
    };
    failed(format!(
        "cannot reach the mesh at {}{}: {reason}; {remedy}",
        redacted_url(&endpoint.url),
        named_by(endpoint),
    ))
}

fn named_by(endpoint: &Endpoint) -> String {
    match &endpoint.source {
        EndpointSource::Explicit => String::new(),
        EndpointSource::Default => " (the default)".to_owned(),
        source => format!(" (from {source})"),
    }
}

/// The first bytes that a peer sends.
enum Greeting {
    Nats(Info),
    /// The start of another greeting.
    Other(String),
    /// The peer accepts the connection and sends nothing.
    Silent,
    Unknown,
}

#[derive(Deserialize, Default)]
struct Info {
    #[serde(default)]
    tls_required: bool,
    #[serde(default)]
    tls_available: bool,
}

impl Info {
    fn offers_tls(&self) -> bool {
        self.tls_required || self.tls_available
    }
}

impl Greeting {
    async fn read(server: &ServerAddr) -> Self {
        let connecting = any_address::connect(server);
        let Ok(Ok(mut connection)) = timeout(GREETING_TIMEOUT, connecting).await else {
            return Self::Unknown;
        };
        let mut greeting = Vec::new();
        let reading = async {
            while greeting.len() < MAX_GREETING_BYTES && !greeting.contains(&b'\n') {
                if !matches!(connection.read_buf(&mut greeting).await, Ok(1..)) {
                    break;
                }
            }
        };
        // The part that arrived in time is of use, too.
        drop(timeout(GREETING_TIMEOUT, reading).await);
        Self::parse(&greeting)
    }

    fn parse(greeting: &[u8]) -> Self {
        if greeting.is_empty() {
            return Self::Silent;
        }
        let line = greeting.split(|byte| *byte == b'\n').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        match line.strip_prefix("INFO ") {
            Some(info) => Self::Nats(serde_json::from_str(info).unwrap_or_default()),
            None => Self::Other(line.trim_end().chars().take(MAX_SHOWN_CHARS).collect()),
        }
    }
}
