//! `oam mesh monitor`, with processes that die by real signals.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, jetstream};
use futures::StreamExt;
use openagentmesh::{AgentMesh, Instance, agent, agents};
use serde_json::{Value, json};

use crate::operator::Operator;
use crate::support::{ConfiguredServer, Running, Sandbox, within_deadline};

const ROLE: &str = "OAM_TEST_HOST";

/// Serves until the process ends.
#[agent]
async fn victim() -> bool {
    true
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn host() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    mesh.register(agents![victim]).await.unwrap();
    println!("serving");
    mesh.run().await.unwrap();
}

/// A server with a system account, which does not export disconnects to the mesh.
struct Test {
    server: ConfiguredServer,
    mesh: AgentMesh,
    sandbox: Sandbox,
}

/// A user of the system account with a credentials file, who may do no more than a monitor needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_host_is_removed_by_advisories_with_system_credentials() {
    let sandbox = Sandbox::new();
    let file = |name: &str| sandbox.work().join(name);
    let permissions = json!({
        "pub": {"allow": ["$SYS.REQ.SERVER.PING"]},
        "sub": {"allow": ["$SYS.ACCOUNT.*.DISCONNECT", "_INBOX.>"]},
    });
    let (operator, system_user) =
        Operator::generate().with_system_account(&file("data"), &permissions);
    std::fs::write(file("user.creds"), operator.credentials_file()).unwrap();
    std::fs::write(file("sys.creds"), system_user).unwrap();
    let server = ConfiguredServer::start(false, operator.configuration()).await;
    let url = format!("nats://{}", server.address);

    let mut monitor = Running::start(sandbox.command(&[
        "mesh",
        "monitor",
        "--json",
        "--url",
        &url,
        "--creds",
        "user.creds",
        "--sys-creds",
        "sys.creds",
    ]));
    event(&mut monitor, "active").await;
    let mut command = sandbox.program(std::env::current_exe().unwrap());
    command
        .args(["mesh_monitor::host", "--exact", "--ignored", "--nocapture"])
        .env(ROLE, "host")
        .env("OAM_URL", &url)
        .env("OAM_CREDS", file("user.creds"));
    let mut host = Running::start(command);
    while host.line().await.expect("the host ended") != "serving" {}
    host.signal("-KILL");
    let down = event(&mut monitor, "instance_down").await;
    assert_eq!(down["agents"], json!(["victim"]));
    assert_eq!(down["confirmed"], true);
    assert_eq!(
        event(&mut monitor, "agent_removed").await["agent"],
        "victim"
    );
    monitor.signal("-INT");
    assert_eq!(monitor.end().await.0.code(), Some(0));
}

impl Test {
    async fn start() -> Self {
        let server = ConfiguredServer::start(
            true,
            "accounts { APP { jetstream: enabled, users: [ { user: app, password: pw } ] }\n\
             SYS { users: [ { user: sys, password: pw } ] } }\nsystem_account: SYS",
        )
        .await;
        // A client without agents runs no monitor.
        let mesh = AgentMesh::connect(server.url_of("app")).await.unwrap();
        Self {
            mesh,
            server,
            sandbox: Sandbox::new(),
        }
    }

    /// Starts a process that serves "victim".
    async fn host(&self) -> Running {
        let mut command = self.sandbox.program(std::env::current_exe().unwrap());
        command
            .args(["mesh_monitor::host", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, "host")
            .env("OAM_URL", self.server.url_of("app"));
        let mut host = Running::start(command);
        while host.line().await.expect("the host ended") != "serving" {}
        host
    }

    fn start_monitor(&self, arguments: &[&str]) -> Running {
        let url = self.server.url_of("app");
        let command = ["mesh", "monitor", "--json", "--url", &url];
        Running::start(self.sandbox.command(&[&command, arguments].concat()))
    }

    fn start_system_monitor(&self) -> Running {
        self.start_monitor(&["--sys-url", &self.server.url_of("sys")])
    }

    async fn is_listed(&self) -> bool {
        let catalog = self.mesh.catalog().fresh().await.unwrap();
        catalog.iter().any(|entry| entry.name == "victim")
    }

    /// Waits until the catalog no longer lists "victim", and prints the time since `started`.
    async fn gone(&self, situation: &str, started: Instant) -> Duration {
        within_deadline("removal of the entry", async {
            while self.is_listed().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let elapsed = started.elapsed();
        println!("{situation}: gone after {elapsed:?}");
        elapsed
    }

    async fn only_instance(&self) -> Instance {
        let instances = self.mesh.instances().await.unwrap();
        assert_eq!(instances.len(), 1, "{instances:?}");
        instances.into_iter().next().unwrap()
    }

    /// The disconnects that processes of the mesh learn of.
    async fn advisories(&self) -> async_nats::Subscriber {
        let raw = self.raw("app").await;
        let advisories = raw.subscribe("mesh.sys.disconnect").await.unwrap();
        raw.flush().await.unwrap();
        advisories
    }

    async fn raw(&self, user: &str) -> async_nats::Client {
        ConnectOptions::with_user_and_password(user.to_owned(), "pw".to_owned())
            .connect(&self.server.address)
            .await
            .unwrap()
    }

    /// The id of the server, and the ids of the connections of the monitor that have subscribed.
    async fn connections_of_monitor(&self, system: &async_nats::Client) -> (String, BTreeSet<u64>) {
        let answer = system
            .request("$SYS.REQ.SERVER.PING.CONNZ", r#"{"auth": true}"#.into())
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        let own = self.mesh.instance_id().client_name();
        let connections = answer["data"]["connections"].as_array().unwrap();
        let of_monitor = connections.iter().filter(|connection| {
            let name = connection["name"].as_str().unwrap_or_default();
            let subscriptions = connection["subscriptions"].as_u64();
            name.starts_with("oam-host-") && name != own && subscriptions > Some(0)
        });
        let ids = of_monitor.map(|connection| connection["cid"].as_u64().unwrap());
        let server = answer["server"]["id"].as_str().unwrap().to_owned();
        (server, ids.collect())
    }

    /// The holder of the monitor's lease.
    async fn holder(&self) -> Option<String> {
        let jetstream = jetstream::new(self.raw("app").await);
        let leases = jetstream.get_key_value("mesh-leases").await.ok()?;
        let value = leases.get("monitor").await.unwrap()?;
        let value: Value = serde_json::from_slice(&value).unwrap();
        Some(value["holder"].as_str().unwrap().to_owned())
    }
}

/// Waits until an advisory on the mesh names the connection of `instance`, and asserts that it says no more.
async fn passed_on(advisories: &mut async_nats::Subscriber, instance: &str) {
    let name = format!("oam-host-{instance}");
    within_deadline("advisory on the mesh", async {
        loop {
            let advisory = advisories.next().await.unwrap();
            let advisory: Value = serde_json::from_slice(&advisory.payload).unwrap();
            if advisory["client"]["name"] == *name {
                let (server, client) = (&advisory["server"]["id"], &advisory["client"]["id"]);
                assert!(server.is_string() && client.is_u64(), "{advisory}");
                let expected =
                    json!({"server": {"id": server}, "client": {"id": client, "name": name}});
                assert_eq!(advisory, expected);
                return;
            }
        }
    })
    .await;
}

/// The next line of `monitor` that has `event`.
async fn event(monitor: &mut Running, event: &str) -> Value {
    loop {
        let line = monitor.line().await;
        let line = line.unwrap_or_else(|| panic!("the monitor ended before {event}"));
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["event"] == event {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_host_is_removed_by_advisories_of_the_system_account() {
    let test = Test::start().await;
    let mut monitor = test.start_system_monitor();
    event(&mut monitor, "active").await;
    let host = test.host().await;
    let id = test.only_instance().await.id.to_string();
    let started = Instant::now();
    host.signal("-KILL");
    let down = event(&mut monitor, "instance_down").await;
    assert_eq!(down["instance"], id);
    assert_eq!(down["agents"], json!(["victim"]));
    assert_eq!(down["confirmed"], true);
    let elapsed = test.gone("kill -9, active monitor", started).await;
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    let removed = event(&mut monitor, "agent_removed").await;
    assert_eq!(removed["agent"], "victim");
    assert_eq!(removed["instance"], id);

    // The host is the active monitor when it dies.
    monitor.signal("-INT");
    assert_eq!(monitor.end().await.0.code(), Some(0));
    let host = test.host().await;
    within_deadline("lease of the host", async {
        while test.holder().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut monitor = test.start_system_monitor();
    let standby = event(&mut monitor, "standby").await;
    assert_eq!(standby["monitor"], test.only_instance().await.id.as_str());
    let started = Instant::now();
    host.signal("-KILL");
    let elapsed = test.gone("kill -9 of the active monitor", started).await;
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    event(&mut monitor, "active").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advisories_reach_the_active_monitor_of_a_host() {
    let test = Test::start().await;
    let other = AgentMesh::connect(test.server.url_of("app")).await.unwrap();
    let idle = openagentmesh::AgentSpec::new("other", "Serves.").handler(|| async { true });
    other.register(idle).await.unwrap();
    within_deadline("lease of the host", async {
        while test.holder().await.as_deref() != Some(other.instance_id().as_str()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let host = test.host().await;
    let mut instances = test.mesh.instances().await.unwrap();
    instances.retain(|instance| instance.id != *other.instance_id());
    let victim = instances[0].id.to_string();
    let mut monitor = test.start_system_monitor();
    event(&mut monitor, "standby").await;
    let mut advisories = test.advisories().await;
    let started = Instant::now();
    host.signal("-KILL");
    passed_on(&mut advisories, &victim).await;
    let elapsed = test.gone("kill -9, standby with advisories", started).await;
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    let down = event(&mut monitor, "instance_down").await;
    assert_eq!(down["confirmed"], false, "the other host found it");
    assert_eq!(test.holder().await.unwrap(), other.instance_id().as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_that_died_without_a_monitor_is_removed_by_the_command() {
    let test = Test::start().await;
    let host = test.host().await;
    host.signal("-KILL");
    let started = Instant::now();
    let mut monitor = test.start_monitor(&[]);
    let elapsed = test.gone("start of the monitor", started).await;
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    event(&mut monitor, "agent_removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_host_is_removed_by_its_lease_without_advisories() {
    let test = Test::start().await;
    let mut monitor = test.start_monitor(&[]);
    event(&mut monitor, "active").await;
    let host = test.host().await;
    let started = Instant::now();
    host.signal("-KILL");
    let elapsed = test.gone("kill -9, leases alone", started).await;
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_death_removes_nothing() {
    let test = Test::start().await;
    let mut monitor = test.start_system_monitor();
    event(&mut monitor, "active").await;
    let _host = test.host().await;
    let id = test.only_instance().await.id;
    let raw = test.raw("sys").await;
    let subject = "$SYS.ACCOUNT.APP.DISCONNECT";
    let mut system = raw.subscribe(subject).await.unwrap();
    // The server answers, as nobody subscribes, when it knows the subscription.
    drop(raw.request(raw.new_inbox(), "".into()).await);
    let forged = ConnectOptions::with_user_and_password("app".to_owned(), "pw".to_owned())
        .name(id.client_name())
        .connect(&test.server.address)
        .await
        .unwrap();
    forged.drain().await.unwrap();
    let advisory = within_deadline("advisory", system.next()).await;
    let advisory: Value = serde_json::from_slice(&advisory.unwrap().payload).unwrap();
    assert_eq!(advisory["client"]["name"], id.client_name());
    let notice = json!({
        "agent": "victim", "reason": "disconnect", "detected_at": "2026-01-01T00:00:00Z", "instance_id": id.as_str(),
    });
    let raw = test.raw("app").await;
    raw.publish("mesh.death.victim", notice.to_string().into())
        .await
        .unwrap();
    raw.flush().await.unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert!(test.is_listed().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(test.only_instance().await.id, id);
    assert!(test.mesh.call::<bool>("victim", ()).await.unwrap());
    let printed = monitor.line_within(Duration::from_millis(100)).await;
    assert_eq!(printed, None, "no death is printed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_returns_the_lease_to_the_next_monitor() {
    let test = Test::start().await;
    for signal in ["-INT", "-TERM"] {
        let mut first = test.start_monitor(&[]);
        let active = event(&mut first, "active").await;
        assert_eq!(test.holder().await.unwrap(), active["monitor"]);
        let mut second = test.start_monitor(&[]);
        let standby = event(&mut second, "standby").await;
        assert_eq!(standby["monitor"], active["monitor"]);

        let started = Instant::now();
        first.signal(signal);
        let (status, stderr) = first.end().await;
        assert_eq!((status.code(), &*stderr), (Some(0), ""));
        let active = event(&mut second, "active").await;
        println!(
            "{signal}: the next monitor is active after {:?}",
            started.elapsed()
        );
        assert_eq!(test.holder().await.unwrap(), active["monitor"]);
        second.signal(signal);
        assert_eq!(second.end().await.0.code(), Some(0));
        assert_eq!(test.holder().await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitor_survives_the_loss_of_both_connections() {
    let test = Test::start().await;
    let mut monitor = test.start_system_monitor();
    event(&mut monitor, "active").await;
    let system = test.raw("sys").await;
    let (server, ids) = test.connections_of_monitor(&system).await;
    assert_eq!(ids.len(), 2);
    for id in &ids {
        let request = json!({"cid": id}).to_string();
        let kick = format!("$SYS.REQ.SERVER.{server}.KICK");
        system.request(kick, request.into()).await.unwrap();
    }
    within_deadline("the monitor is connected again", async {
        loop {
            let (_, now) = test.connections_of_monitor(&system).await;
            if now.len() == 2 && now.is_disjoint(&ids) {
                break;
            }
        }
    })
    .await;
    let host = test.host().await;
    let victim = test.only_instance().await.id.to_string();
    let mut advisories = test.advisories().await;
    let started = Instant::now();
    host.signal("-KILL");
    passed_on(&mut advisories, &victim).await;
    let elapsed = test.gone("kill -9 after a reconnect", started).await;
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    event(&mut monitor, "agent_removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_of_another_account_is_refused() {
    let test = Test::start().await;
    let mut monitor = test.start_monitor(&["--sys-url", &test.server.url_of("app")]);
    let (status, stderr) = monitor.end().await;
    assert_eq!(status.code(), Some(4), "{stderr}");
    assert!(stderr.contains(r#""code":"connection_denied""#), "{stderr}");
    assert!(stderr.contains("system account"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_lines_of_text() {
    let test = Test::start().await;
    let url = test.server.url_of("app");
    let arguments = ["mesh", "monitor", "--url", &url];
    let mut monitor = Running::start(test.sandbox.command(&arguments));
    let line = monitor.line().await.unwrap();
    assert!(line.contains("active as "), "{line}");
    let host = test.host().await;
    host.signal("-KILL");
    let line = monitor.line().await.unwrap();
    assert!(line.contains("is dead; it served victim"), "{line}");
    let line = monitor.line().await.unwrap();
    assert!(line.contains("agent victim is removed"), "{line}");
}
