//! Credentials files: read at each attempt to connect; missing, expired and refused ones are three errors.

use std::time::Duration;

use openagentmesh::{AgentMesh, ErrorCode, MeshBuilder};
use tempfile::TempDir;

use crate::support::operator::Operator;
use crate::support::secured::SecuredServer;
use crate::support::{Proxy, eventually, within};

/// The message of a connect that the server denies. `state` is that of the credentials.
async fn denied(builder: MeshBuilder, state: &str) -> String {
    let error = within(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionDenied, "{error:?}");
    assert_eq!(error.details()["credentials"], state, "{error}");
    error.message().to_owned()
}

/// Publishes as soon as the server permits it.
async fn published(mesh: &AgentMesh, subject: &str) {
    eventually(|| async { mesh.publish(subject, 1).await.ok() }).await;
}

#[tokio::test]
async fn renewed_credentials_file_is_read_at_a_reconnect() {
    let operator = Operator::generate();
    let server = SecuredServer::start(operator.configuration()).await;
    let proxy = Proxy::to(&server.url()).await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("user.creds");
    std::fs::write(&file, operator.credentials_of("second.>", None)).unwrap();
    let builder = AgentMesh::builder().url(&proxy.url).credentials(&file);
    let mesh = within(builder.connect()).await.unwrap();
    within(mesh.publish("first.a", 1)).await.unwrap();
    let refused = within(mesh.publish("second.a", 1)).await.unwrap_err();
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied);

    std::fs::write(&file, operator.credentials_of("first.>", None)).unwrap();
    proxy.cut();
    published(&mesh, "second.a").await;
    let refused = within(mesh.publish("first.a", 1)).await.unwrap_err();
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied);

    // A file that is missing for a while delays the reconnect.
    std::fs::remove_file(&file).unwrap();
    proxy.cut();
    std::fs::write(&file, operator.credentials_of("second.>", None)).unwrap();
    published(&mesh, "first.a").await;
}

#[tokio::test]
async fn refused_credentials_at_a_reconnect_are_named_and_renewed() {
    let operator = Operator::generate();
    let server = SecuredServer::start(operator.configuration()).await;
    let proxy = Proxy::to(&server.url()).await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("user.creds");
    std::fs::write(&file, operator.credentials_file()).unwrap();
    let builder = AgentMesh::builder().url(&proxy.url).credentials(&file);
    let mesh = within(builder.connect()).await.unwrap();

    std::fs::write(&file, Operator::generate().credentials_file()).unwrap();
    proxy.cut();
    eventually(|| async {
        let call = mesh.call::<u32>("echo", 1);
        let error = call.timeout(Duration::from_millis(50)).await.unwrap_err();
        let is_named = error.message().contains("refuses the credentials");
        is_named.then_some(())
    })
    .await;
    std::fs::write(&file, operator.credentials_file()).unwrap();
    let mut events = eventually(|| async { mesh.subscribe_subject::<u32>("a").await.ok() }).await;
    published(&mesh, "a").await;
    // A subscription that was made before the reconnect reports a gap first.
    let first = match within(events.next()).await.unwrap() {
        Err(gap) if gap.details()["reconnected"] == true => within(events.next()).await.unwrap(),
        first => first,
    };
    assert_eq!(first.unwrap().data, 1);
}

#[tokio::test]
async fn missing_expired_and_refused_credentials_are_three_errors() {
    let operator = Operator::generate();
    let server = SecuredServer::start(operator.configuration()).await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("user.creds");
    let shown = file.display().to_string();
    let mesh = || AgentMesh::builder().url(server.url());

    let missing = denied(mesh(), "missing").await;
    assert!(missing.contains("got none"), "{missing}");
    assert!(missing.contains("OAM_CREDS"), "{missing}");

    std::fs::write(&file, operator.credentials_of("x", Some(1_700_000_000))).unwrap();
    let expired = denied(mesh().credentials(&file), "expired").await;
    assert!(
        expired.contains("expired at 2023-11-14T22:13:20Z"),
        "{expired}"
    );
    assert!(expired.contains(&shown), "{expired}");

    std::fs::write(&file, Operator::generate().credentials_file()).unwrap();
    let refused = denied(mesh().credentials(&file), "refused").await;
    assert!(refused.contains(&shown), "{refused}");
    assert!(!refused.contains("expired"), "{refused}");

    let login = AgentMesh::builder().url(format!("nats://ann:pw@{}", server.address));
    let refused = denied(login, "refused").await;
    assert!(refused.contains("the login in the URL"), "{refused}");
}

#[tokio::test]
async fn home_directory_in_a_path_is_expanded() {
    let builder = AgentMesh::builder()
        .url("nats://127.0.0.1:1")
        .credentials("~/no/such.creds");
    let error = within(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration);
    let home = std::env::home_dir().unwrap().join("no/such.creds");
    assert!(error.message().contains(home.to_str().unwrap()), "{error}");
}
