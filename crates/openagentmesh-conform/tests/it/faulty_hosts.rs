//! Each rule of a host fails for a host that breaks it, and for no other.

use std::time::Duration;

use futures::{StreamExt, stream};
use openagentmesh_conform::{HostCheck, Report, Role, rules};
use serde_json::json;
use tokio::sync::mpsc;

use crate::host::{FLOOD, Host, Shape};
use crate::support::{SETTINGS, TestMesh, failures, report_with, skips};

/// The number of hosts that are checked at once. A check mostly waits for messages that must not arrive.
const CONCURRENT: usize = 10;
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(20);
const LEAVING_TIMEOUT: Duration = Duration::from_secs(3);

/// Rules whose breach implies that of others.
const IMPLIED: &[(&str, &[&str])] = &[
    // The instance answers no valid request at all.
    ("call-answered", &["instance-request"]),
    ("stream-chunks", &["instance-request"]),
    // The late subscriber waits on a results subject.
    ("send-results", &["send-late-subscriber"]),
];

/// The shape of the agent by which a rule is broken.
fn shape(rule: &str) -> Shape {
    match rule {
        "not-invocable" => Shape::Publisher,
        _ if rule.starts_with("catalog-") || rule.starts_with("contract-") => Shape::Watcher,
        _ if rule.starts_with("event-") => Shape::Publisher,
        _ if rule.starts_with("stream-") => Shape::Streamer,
        _ => Shape::Responder,
    }
}

fn check(name: &str, shape: Shape) -> HostCheck {
    let check = HostCheck::new(name.parse().unwrap()).settings(SETTINGS);
    match shape {
        Shape::Responder => check.slow_input(json!({"text": "slow"})),
        _ => check,
    }
}

/// The report about a host that is registered, with a fault, before the check.
async fn report(mesh: &TestMesh, name: &str, shape: Shape, fault: &'static str) -> Report {
    let host = Host::new(mesh.nats().await, name, shape, fault).await;
    let _running = host.start().await;
    check(name, shape).run(&mesh.mesh).await.unwrap()
}

/// The report about a host that starts and leaves while it is checked.
async fn whole_report(mesh: &TestMesh, name: &str, shape: Shape, fault: &'static str) -> Report {
    let host = Host::new(mesh.nats().await, name, shape, fault).await;
    let (prompt, mut prompts) = mpsc::unbounded_channel();
    let check = check(name, shape)
        .await_registration(REGISTRATION_TIMEOUT)
        .await_leaving(LEAVING_TIMEOUT)
        .on_prompt(move |text| prompt.send(text.to_owned()).unwrap());
    let playing = async {
        assert!(prompts.recv().await.unwrap().contains("start its host"));
        let running = host.start().await;
        assert!(prompts.recv().await.unwrap().contains("stop the host"));
        running.leave().await;
    };
    let (report, ()) = futures::join!(check.run(&mesh.mesh), playing);
    report.unwrap()
}

/// The rules that fail for a host that breaks `rule`, sorted.
fn broken_with(rule: &'static str) -> Vec<&'static str> {
    let implied = IMPLIED.iter().find(|(broken, _)| *broken == rule);
    let mut expected = vec![rule];
    expected.extend(implied.into_iter().flat_map(|(_, implied)| *implied));
    expected.sort_unstable();
    expected
}

fn assert_only(rule: &'static str, report: &Report) {
    let expected = broken_with(rule);
    let failures = failures(report);
    let mut failed: Vec<&str> = failures.iter().map(|(id, _)| *id).collect();
    failed.sort_unstable();
    assert_eq!(failed, expected, "{rule}: {failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn correct_hosts_pass_every_rule() {
    let mesh = TestMesh::start().await;
    let shapes = [
        Shape::Responder,
        Shape::Trigger,
        Shape::Streamer,
        Shape::Publisher,
        Shape::Watcher,
    ];
    let mut whole: Option<Report> = None;
    for shape in shapes {
        let name = format!("t.{}", format!("{shape:?}").to_lowercase());
        let report = async |_| whole_report(&mesh, &name, shape, "").await;
        let report = report_with(&[], report).await;
        assert_eq!(failures(&report), [], "{shape:?}");
        match &mut whole {
            Some(whole) => whole.merge(report),
            None => whole = Some(report),
        }
    }
    assert_eq!(skips(&whole.unwrap()), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_fails_for_a_host_that_breaks_it() {
    let mesh = TestMesh::start().await;
    let broken = rules(Role::Host)
        .map(|rule| rule.id)
        .filter(|id| !is_of_registration(id));
    let reports = broken.map(|rule| {
        let mesh = &mesh;
        async move {
            let report = async |attempt| {
                let name = format!("t.{rule}-{attempt}");
                report(mesh, &name, shape(rule), rule).await
            };
            (rule, report_with(&broken_with(rule), report).await)
        }
    });
    let mut reports = stream::iter(reports).buffer_unordered(CONCURRENT);
    while let Some((rule, report)) = reports.next().await {
        assert_only(rule, &report);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_of_registration_fails_for_a_host_that_breaks_it() {
    let broken = rules(Role::Host)
        .map(|rule| rule.id)
        .filter(|id| is_of_registration(id));
    let reports = broken.map(|rule| async move {
        let report = async |_| {
            // Some of the hosts destroy the catalog.
            let mesh = TestMesh::start().await;
            whole_report(&mesh, "t.agent", Shape::Trigger, rule).await
        };
        (rule, report_with(&broken_with(rule), report).await)
    });
    let mut reports = stream::iter(reports).buffer_unordered(CONCURRENT);
    while let Some((rule, report)) = reports.next().await {
        assert_only(rule, &report);
    }
}

fn is_of_registration(rule: &str) -> bool {
    rule.starts_with("register-") || rule.starts_with("leave-")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unregistered_agent_is_not_found() {
    let mesh = TestMesh::start().await;
    let check = check("t.nothing", Shape::Watcher).await_registration(Duration::from_millis(100));
    let error = check.run(&mesh.mesh).await.unwrap_err();
    assert!(
        error.to_string().contains("'t.nothing' not found"),
        "{error}"
    );
    let jetstream = async_nats::jetstream::new(mesh.nats().await);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    assert_eq!(catalog.get("catalog").await.unwrap().unwrap(), "[]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listed_agent_without_host_fails_within_the_timeouts() {
    let mesh = TestMesh::start().await;
    let host = Host::new(mesh.nats().await, "t.dead", Shape::Responder, "").await;
    drop(host.start().await);
    let check = check("t.dead", Shape::Responder);
    let checking = check.run(&mesh.mesh);
    let report = tokio::time::timeout(Duration::from_secs(120), checking).await;
    let report = report.expect("the check ends").unwrap();
    assert!(!report.is_success());
    assert!(
        failures(&report)
            .iter()
            .any(|(id, _)| *id == "call-answered")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_host_fails_within_the_timeouts() {
    let mesh = TestMesh::start().await;
    let checks = [Shape::Responder, Shape::Streamer].map(async |shape| {
        let name = format!("t.{}", format!("{shape:?}").to_lowercase());
        let checking = report(&mesh, &name, shape, FLOOD);
        let report = tokio::time::timeout(Duration::from_secs(120), checking).await;
        assert!(!report.expect("the check ends").is_success());
    });
    futures::future::join_all(checks).await;
}
