//! `inspect`: the state of the mesh, for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join;
use openagentmesh_protocol::bucket::{CATALOG, INSTANCES, LEASES};
use openagentmesh_protocol::{AgentName, CatalogDocument, ErrorCode};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use crate::client::handle::Client;
use crate::error::{Error, Result};
use crate::liveness::{
    InstanceStatus, MonitorStatus, UnrecordedAgent, instance_status, monitor_status,
    unrecorded_agents,
};
use crate::session::Session;
use crate::store::{BucketStatus, JetStreamStatus, StoredBucket, bucket_status, jetstream_status};
use crate::transport::{self, Connection};
use crate::util::operation::Operation;

/// The limit of a part of the inspection, above those of its questions.
const PART_TIMEOUT: Duration = Duration::from_secs(8);

/// The state of a mesh; returned by [`Client::inspect`].
///
/// A part that cannot be read is an error of its own, such as `connection_denied` for a user without the permission.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The server of this process's connection.
    pub server: ServerStatus,
    /// The use of JetStream by the account of the mesh. The error is `storage_error` when the server runs without
    /// JetStream.
    pub jetstream: Result<JetStreamStatus>,
    /// The six buckets of the mesh and that of the monitor's lease.
    pub buckets: Vec<BucketStatus>,
    /// The active monitor; `None` if no process holds the lease.
    pub monitor: Result<Option<MonitorStatus>>,
    /// The processes that serve agents, in the order of their ids.
    pub instances: Result<Vec<InstanceStatus>>,
    /// The catalog.
    pub catalog: Result<CatalogStatus>,
    /// The agents in the catalog that no instance record names, in the order of their names. Not known without the
    /// catalog and the instances.
    pub unrecorded: Result<Vec<UnrecordedAgent>>,
}

/// A server of the mesh, as it introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatus {
    /// The name of the server.
    pub name: String,
    /// The version of the server.
    pub version: String,
    /// The cluster that the server is one of.
    pub cluster: Option<String>,
    /// The URL without a login, as in [`Client::url`].
    pub url: String,
    /// The version of the NATS protocol that the server speaks.
    pub protocol: i8,
    /// The time in which a message came back through the server; `None` if it did not within 2 s.
    pub round_trip: Option<Duration>,
}

/// The stored catalog.
#[derive(Debug)]
#[non_exhaustive]
pub struct CatalogStatus {
    /// The number of agents.
    pub agents: usize,
    /// The number of entries that no query returns: malformed ones, and those whose name is not a valid agent name.
    pub invalid: usize,
    /// The error of a stored value that is not a catalog. The next host, or [`Client::repair_catalog`], repairs it.
    pub problem: Option<Error>,
}

impl Client {
    /// Reads the state of the mesh: the server, JetStream, the buckets and their replicas, the active monitor, the
    /// processes that serve agents, and the catalog. Every part is read from the server, and none is changed. A part that
    /// this user may not read, or that does not answer within seconds, is an error of its own in the result.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is lost or closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future has no effect on the mesh.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let inspection = mesh.inspect().await?;
    /// println!("{} {}", inspection.server.name, inspection.server.version);
    /// match &inspection.monitor {
    ///     Ok(Some(monitor)) => println!("monitor: {}", monitor.holder),
    ///     Ok(None) => println!("no monitor"),
    ///     Err(error) => println!("monitor unknown: {error}"),
    /// }
    /// for finding in inspection.findings() {
    ///     println!("{}: {}", finding.severity, finding.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn inspect(&self) -> Operation<'static, Inspection> {
        let session = self.session().clone();
        Operation::new(async move { inspect(&session).await })
    }
}

async fn inspect(session: &Session) -> Result<Inspection> {
    let connection = &session.connection;
    connection.check_attached()?;
    if connection.closed().is_cancelled() {
        return Err(transport::closed(
            "a closed connection has no mesh to inspect",
        ));
    }
    match timeout(PART_TIMEOUT, connection.up()).await {
        Ok(up) => up?,
        Err(_) => return Err(late("the mesh")),
    }
    let info = connection.client().server_info();
    let server = ServerStatus {
        name: info.server_name,
        version: info.version,
        cluster: info.cluster,
        url: session.url.clone(),
        protocol: info.proto,
        round_trip: round_trip(connection).await,
    };
    let (jetstream, buckets) = join(jetstream_status(connection), bucket_status(connection)).await;
    // An operation on a missing bucket would create it.
    let look_up = |name| look_up(&buckets, name);
    let monitor = async {
        match look_up(LEASES) {
            Found::Missing => Ok(None),
            found => monitor_status(connection, found.at()).await,
        }
    };
    let instances = async {
        match look_up(INSTANCES) {
            Found::Missing => Ok(Vec::new()),
            found => instance_status(&session.records, &session.live_connections, found.at()).await,
        }
    };
    let catalog = async {
        match look_up(CATALOG) {
            Found::Missing => Ok(Ok(CatalogDocument::default())),
            _ => session.directory.stored().await,
        }
    };
    let (monitor, instances, catalog) = tokio::join!(
        bounded("the monitor's lease", monitor),
        bounded("the instance records", instances),
        bounded("the catalog", catalog),
    );
    let unrecorded = match (&catalog, &instances) {
        (Ok(document), Ok(instances)) => {
            let agents = document.as_ref().map(agents).unwrap_or_default();
            Ok(unrecorded_agents(&session.live_connections, agents, instances).await)
        }
        (Err(error), _) | (_, Err(error)) => {
            Err(Error::raised(error.code().clone(), error.message()))
        }
    };
    Ok(Inspection {
        server,
        jetstream,
        monitor,
        instances,
        catalog: catalog.map(catalog_status),
        unrecorded,
        buckets,
    })
}

async fn round_trip(connection: &Connection) -> Option<Duration> {
    let sent = Instant::now();
    connection.synchronize().await.ok()?;
    Some(sent.elapsed())
}

/// A bucket that a part of the inspection reads.
enum Found<'b> {
    Missing,
    Stored(&'b StoredBucket),
    Unknown,
}

impl Found<'_> {
    /// The time of the server.
    fn at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Stored(stored) => stored.at,
            Self::Missing | Self::Unknown => None,
        }
    }
}

fn look_up<'b>(buckets: &'b [BucketStatus], name: &str) -> Found<'b> {
    match buckets.iter().find(|status| status.bucket == name) {
        Some(BucketStatus {
            stored: Ok(None), ..
        }) => Found::Missing,
        Some(BucketStatus {
            stored: Ok(Some(stored)),
            ..
        }) => Found::Stored(stored),
        _ => Found::Unknown,
    }
}

/// The agents of the catalog, each with whether it takes requests.
fn agents(document: &CatalogDocument) -> BTreeMap<AgentName, bool> {
    let listed = document.listed_texts().filter_map(|(name, _)| {
        let capabilities = document.capabilities(name)?;
        Some((AgentName::new(name).ok()?, capabilities.invocable))
    });
    listed.collect()
}

fn catalog_status(document: Result<CatalogDocument>) -> CatalogStatus {
    match document {
        Ok(document) => CatalogStatus {
            agents: document.listed_texts().count(),
            invalid: document.count_invalid(),
            problem: None,
        },
        Err(problem) => CatalogStatus {
            agents: 0,
            invalid: 0,
            problem: Some(problem),
        },
    }
}

async fn bounded<T>(part: &str, reading: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PART_TIMEOUT, reading)
        .await
        .unwrap_or_else(|_| Err(late(part)))
}

fn late(part: &str) -> Error {
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!("cannot read {part}: no answer within {PART_TIMEOUT:?}"),
    )
}
