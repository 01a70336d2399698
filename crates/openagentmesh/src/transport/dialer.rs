//! Dialing the servers of a connection, at first and after its client has died.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectError, ReconnectToServer};
use futures::FutureExt;
use openagentmesh_protocol::InstanceId;
use tokio::sync::oneshot;

use super::client_events::Events;
use super::credentials;
use super::monitor::ConnectionMonitor;
use super::options::{ClientCertificate, ConnectionOptions, Credentials};
use super::servers::Servers;

/// The limit of a listener's greeting, TLS negotiation and authentication.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that was dialed.
pub(super) struct Dialed {
    pub(super) client: Client,
    pub(super) events: Arc<Events>,
    pub(super) death: Death,
}

/// Resolves when the client has ended: the sender is dropped with the callback for its events.
pub(super) type Death = oneshot::Receiver<Infallible>;

/// Dials the servers of a connection.
pub(super) struct Dialer {
    pub(super) monitor: ConnectionMonitor,
    pub(super) options: ConnectionOptions,
    pub(super) instance_id: InstanceId,
    pub(super) servers: Servers,
    pub(super) credentials: Vec<Credentials>,
    pub(super) tls_required: bool,
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
        if cfg!(windows)
            && let Some(ordered) = self.servers.with_ipv4_first()
        {
            addresses = ordered;
            client = client.retain_servers_order();
        }
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
