//! A connection to a mesh, and the agents that this process serves on it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use openagentmesh::{Agent, AgentMesh};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::agents::{PyAgent, ended};
use crate::arguments::optional;
use crate::bridge::event_loop::LoopQueue;
use crate::bridge::operation;
use crate::client::PyClient;
use crate::exit;
use crate::runtime::{self, Guarded};
use crate::sync::lock;

/// A mesh that `abort` takes away.
type Slot = Mutex<Option<Guarded<AgentMesh>>>;

/// The meshes of this process, which end with it.
static MESHES: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

/// A connection, and the agents that this process serves on it.
#[pyclass(name = "Mesh", module = "openagentmesh._core", extends = PyClient, frozen)]
pub(crate) struct PyMesh {
    mesh: Arc<Slot>,
    agents: Arc<Mutex<Vec<String>>>,
    aborted: CancellationToken,
}

impl PyMesh {
    fn object(py: Python<'_>, mesh: AgentMesh) -> PyResult<Bound<'_, PyAny>> {
        let client = PyClient::new((*mesh).clone());
        let slot = Arc::new(Mutex::new(Some(Guarded::new(mesh))));
        {
            let mut meshes = lock(&MESHES);
            meshes.retain(|mesh| mesh.strong_count() > 0);
            meshes.push(Arc::downgrade(&slot));
        }
        let mesh = Self {
            mesh: slot,
            agents: Arc::default(),
            aborted: CancellationToken::new(),
        };
        let object = Bound::new(py, PyClassInitializer::from(client).add_subclass(mesh))?;
        Ok(object.into_any())
    }

    fn get(&self) -> PyResult<AgentMesh> {
        runtime::get()?;
        let mesh = lock(&self.mesh);
        Ok(AgentMesh::clone(mesh.as_ref().ok_or_else(ended)?))
    }
}

#[pymethods]
impl PyMesh {
    #[getter]
    fn agents(&self) -> Vec<String> {
        lock(&self.agents).clone()
    }

    fn register<'py>(
        &self,
        py: Python<'py>,
        agents: Vec<PyRef<'py, PyAgent>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let queue = LoopQueue::current(py)?;
        let names: Vec<String> = agents.iter().map(|agent| agent.name().to_owned()).collect();
        let agents: Vec<Agent> = agents.iter().map(|agent| agent.agent(&queue)).collect();
        let registered = self.get()?.register(agents);
        let known = Arc::clone(&self.agents);
        operation::start(py, registered, move |py, ()| {
            lock(&known).extend(names);
            Ok(py.None().into_bound(py))
        })
    }

    fn deregister<'py>(&self, py: Python<'py>, names: Vec<String>) -> PyResult<Bound<'py, PyAny>> {
        let deregistered = self.get()?.deregister(names.clone());
        let known = Arc::clone(&self.agents);
        operation::start(py, deregistered, move |py, ()| {
            lock(&known).retain(|name| !names.contains(name));
            Ok(py.None().into_bound(py))
        })
    }

    fn shutdown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mesh = match self.get() {
            Ok(mesh) => Some(mesh),
            Err(error) if runtime::is_forked() => return Err(error),
            // The mesh has ended already.
            Err(_) => None,
        };
        let known = Arc::clone(&self.agents);
        let aborted = self.aborted.clone();
        let left = async move {
            let Some(mesh) = mesh else { return Ok(()) };
            let left = aborted.run_until_cancelled(mesh.shutdown()).await;
            left.unwrap_or(Ok(()))
        };
        operation::start(py, left, move |py, ()| {
            lock(&known).clear();
            Ok(py.None().into_bound(py))
        })
    }

    fn abort(&self, py: Python<'_>) {
        if runtime::is_forked() {
            return;
        }
        self.aborted.cancel();
        let mesh = lock(&self.mesh).take();
        lock(&self.agents).clear();
        // A local server is stopped, which takes some milliseconds.
        exit::detached(py, || drop(mesh));
    }
}

/// Ends the meshes of this process when the interpreter exits.
#[pyfunction]
pub(crate) fn end_process(py: Python<'_>) {
    if runtime::is_forked() {
        return;
    }
    exit::begin();
    let meshes: Vec<_> = std::mem::take(&mut *lock(&MESHES))
        .iter()
        .filter_map(Weak::upgrade)
        .collect();
    let meshes: Vec<_> = meshes.iter().map(|mesh| lock(mesh).take()).collect();
    py.detach(|| {
        drop(meshes);
        exit::wait_for_threads();
    });
}

/// Connects to a mesh, or starts a local one.
#[pyfunction]
#[pyo3(signature = (
    *, url = None, context = None, local = false, creds = None, tls_cert = None, tls_key = None, tls_ca = None,
    user = None, password = None, token = None, name = None, inbox_prefix = None, request_timeout = None,
    shutdown_grace = None, lease = None, replicas = None
))]
#[expect(clippy::too_many_arguments, reason = "each is an option of Python")]
pub(crate) fn connect<'py>(
    py: Python<'py>,
    url: Option<String>,
    context: Option<String>,
    local: bool,
    creds: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    name: Option<String>,
    inbox_prefix: Option<String>,
    request_timeout: Option<f64>,
    shutdown_grace: Option<f64>,
    lease: Option<f64>,
    replicas: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut builder = AgentMesh::builder();
    if let Some(url) = url {
        builder = builder.url(url);
    }
    if let Some(context) = context {
        builder = builder.context(context);
    }
    if let Some(path) = creds {
        builder = builder.credentials(path);
    }
    match (tls_cert, tls_key) {
        (Some(certificate), Some(key)) => builder = builder.client_certificate(certificate, key),
        (None, None) => {}
        _ => return Err(incomplete("tls_cert", "tls_key")),
    }
    if let Some(path) = tls_ca {
        builder = builder.ca_file(path);
    }
    match (user, password) {
        (Some(user), Some(password)) => builder = builder.user_and_password(user, password),
        (None, None) => {}
        _ => return Err(incomplete("user", "password")),
    }
    if let Some(token) = token {
        builder = builder.token(token);
    }
    if let Some(name) = name {
        builder = builder.connection_name(name);
    }
    if let Some(prefix) = inbox_prefix {
        builder = builder.inbox_prefix(prefix);
    }
    if let Some(timeout) = optional("request_timeout", request_timeout)? {
        builder = builder.request_timeout(timeout);
    }
    if let Some(grace) = optional("shutdown_grace", shutdown_grace)? {
        builder = builder.shutdown_grace(grace);
    }
    if let Some(lease) = optional("lease", lease)? {
        builder = builder.lease(lease);
    }
    if let Some(replicas) = replicas {
        builder = builder.replicas(replicas);
    }
    let connected = async move {
        match local {
            true => builder.local().await,
            false => builder.connect().await,
        }
    };
    operation::start(py, connected, PyMesh::object)
}

fn incomplete(one: &str, other: &str) -> PyErr {
    PyValueError::new_err(format!(
        "incomplete options: {one} and {other} go together; give both or neither"
    ))
}
