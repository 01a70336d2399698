//! A monitor without agents, with advisories of the system account.

use std::path::PathBuf;

use openagentmesh::{AgentMesh, CancellationToken, ErrorCode, MonitorEvent};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::support::operator::Operator;
use crate::support::secured::SecuredServer;
use crate::support::{TestMesh, echo, eventually, within};

/// A server of an operator with a system account.
struct Secured {
    server: SecuredServer,
    user: PathBuf,
    system: PathBuf,
    _directory: TempDir,
}

impl Secured {
    async fn start(permissions: Value) -> Self {
        let directory = TempDir::new().unwrap();
        let (operator, system_user) =
            Operator::generate().with_system_account(&directory.path().join("data"), &permissions);
        let server = SecuredServer::start(operator.configuration()).await;
        let (user, system) = (
            directory.path().join("user.creds"),
            directory.path().join("sys.creds"),
        );
        std::fs::write(&user, operator.credentials_file()).unwrap();
        std::fs::write(&system, system_user).unwrap();
        Self {
            server,
            user,
            system,
            _directory: directory,
        }
    }

    async fn connect(&self) -> AgentMesh {
        let builder = AgentMesh::builder().url(self.server.url());
        within(builder.credentials(&self.user).connect())
            .await
            .unwrap()
    }

    fn system(&self) -> openagentmesh::MeshBuilder {
        AgentMesh::builder()
            .url(self.server.url())
            .credentials(&self.system)
    }
}

#[tokio::test]
async fn user_with_few_permissions_of_the_system_account_suffices() {
    let permissions = json!({
        "pub": {"allow": ["$SYS.REQ.SERVER.PING"]},
        "sub": {"allow": ["$SYS.ACCOUNT.*.DISCONNECT", "_INBOX.>"]},
    });
    let secured = Secured::start(permissions).await;
    let mesh = secured.connect().await;
    let (sender, mut events) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let monitor = mesh.monitor().system_account(secured.system());
    let monitor = monitor.on_event(move |event| sender.try_send(event).unwrap());
    let running = tokio::spawn(monitor.run_until(stop.clone()));
    let active = within(events.recv()).await;
    assert!(
        matches!(active, Some(MonitorEvent::Active { .. })),
        "{active:?}"
    );

    let subscription = mesh.subscribe_subject::<Value>("mesh.sys.disconnect");
    let mut advisories = within(subscription.raw()).await.unwrap();
    let leaving = secured.connect().await;
    let name = leaving.instance_id().client_name();
    leaving.shutdown().await.unwrap();
    within(async {
        loop {
            let advisory = futures::StreamExt::next(&mut advisories)
                .await
                .unwrap()
                .unwrap();
            let advisory: Value = serde_json::from_slice(&advisory.data).unwrap();
            if advisory["client"]["name"] == *name {
                break;
            }
        }
    })
    .await;

    stop.cancel();
    within(running).await.unwrap().unwrap();
    let inspection = within(mesh.inspect()).await.unwrap();
    assert!(matches!(inspection.monitor, Ok(None)), "{inspection:?}");
}

#[tokio::test]
async fn user_that_may_not_subscribe_to_disconnects_is_refused() {
    let secured = Secured::start(json!({"sub": {"deny": ["$SYS.ACCOUNT.>"]}})).await;
    let mesh = secured.connect().await;
    let monitor = mesh.monitor().system_account(secured.system());
    let error = within(monitor.run_until(CancellationToken::new()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionDenied, "{error}");
    assert!(error.message().contains("$SYS.ACCOUNT."), "{error}");
}

#[tokio::test]
async fn monitor_of_a_process_with_agents_is_on_standby() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let own = test.mesh.instance_id().clone();
    eventually(|| async {
        let monitor = within(test.mesh.inspect())
            .await
            .unwrap()
            .monitor
            .unwrap()?;
        (monitor.holder == own).then_some(())
    })
    .await;
    let (sender, mut events) = mpsc::channel(64);
    let monitor = test.mesh.monitor();
    let monitor = monitor.on_event(move |event| sender.try_send(event).unwrap());
    let running = tokio::spawn(monitor.run_until(CancellationToken::new()));
    let standby = within(events.recv()).await.unwrap();
    assert_eq!(standby, MonitorEvent::Standby { monitor: own });
    // A closed connection ends the monitor.
    test.mesh.shutdown().await.unwrap();
    within(running).await.unwrap().unwrap();
}
