//! The state of a mesh, as `inspect` returns it.

use openagentmesh::inspect::Severity;
use openagentmesh::{Context, ErrorCode};

use crate::support::{PlainServer, TestMesh, echo, eventually, within};

#[tokio::test]
async fn mesh_of_one_host_has_no_findings() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let caller = test.peer().await;
    let inspection = eventually(|| async {
        let inspection = within(caller.inspect()).await.unwrap();
        let is_monitored = matches!(&inspection.monitor, Ok(Some(_)));
        is_monitored.then_some(inspection)
    })
    .await;
    assert_eq!(inspection.findings(), []);
    assert_eq!(inspection.server.url, caller.url());
    assert!(inspection.jetstream.unwrap().storage > 0);
    let monitor = inspection.monitor.unwrap().unwrap();
    assert_eq!(monitor.holder, *test.mesh.instance_id());
    assert!(!monitor.is_expired());
    let instances = inspection.instances.unwrap();
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].instance.id, *test.mesh.instance_id());
    assert_eq!(instances[0].is_connected, Some(true));
    assert!(!instances[0].is_overdue());
    assert_eq!(inspection.unrecorded.unwrap(), []);
    let catalog = inspection.catalog.unwrap();
    assert_eq!((catalog.agents, catalog.invalid), (1, 0));
    assert!(catalog.problem.is_none());
}

#[tokio::test]
async fn server_without_jetstream_is_one_error() {
    let server = PlainServer::start(None).await;
    let mesh = server.connect().await;
    let inspection = within(mesh.inspect()).await.unwrap();
    let error = inspection.jetstream.as_ref().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
    let findings = inspection.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].severity, Severity::Error);
    assert!(findings[0].message.contains("JetStream"), "{findings:?}");
}

#[tokio::test]
async fn detached_context_and_closed_mesh_have_no_state() {
    let detached = Context::detached().build().mesh().inspect().await;
    assert_eq!(detached.unwrap_err().code(), &ErrorCode::ConnectionFailed);
    let test = TestMesh::start().await;
    let mesh = test.peer().await;
    mesh.shutdown().await.unwrap();
    let closed = within(mesh.inspect()).await.unwrap_err();
    assert_eq!(closed.code(), &ErrorCode::ConnectionFailed, "{closed}");
}
