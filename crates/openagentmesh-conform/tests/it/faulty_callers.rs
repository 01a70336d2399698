//! Each rule of a caller fails for a caller that breaks it, and for no other.

use std::time::Duration;

use futures::{StreamExt, stream};
use openagentmesh_conform::{CallerCheck, Report, Role, rules};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::caller::{Caller, STEPS};
use crate::support::{SETTINGS, TestMesh, failures, report_with, skips};

/// The number of callers that are checked at once.
const CONCURRENT: usize = 4;
/// The limit of a check in these tests.
const CHECK_TIMEOUT: Duration = Duration::from_secs(90);
/// The time for the verdict about a request that was sent.
const VERDICT_TIME: Duration = Duration::from_millis(700);
/// The limit of the wait for a verdict that takes long.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// The step by which a rule is broken.
fn step(rule: &str) -> &'static str {
    match rule {
        "request-stream-flag"
        | "request-stream-subscribed"
        | "request-stream-inbox"
        | "request-credit" => "stumble",
        "request-reply-to" => "note",
        "events-subscribed" | "outcome-events" => "ticks",
        "outcome-error" => "fail",
        "outcome-header-case" => "lower",
        "outcome-stream" | "credit-returned" => "count",
        "outcome-gap" => "gap",
        "outcome-stream-error" => "stumble",
        "outcome-absent" => "absent",
        "outcome-slow" | "probe-question" => "slow",
        "drop-unsubscribes" | "drop-cancels" => "endless",
        "probe-cancelled" => "never",
        _ => "echo",
    }
}

/// The report about a caller that does `steps`.
async fn report(mesh: &TestMesh, steps: &[&str], fault: &'static str) -> Report {
    let caller = Caller::new(mesh.nats().await, fault);
    let (prompt, mut prompts) = mpsc::unbounded_channel();
    let check = CallerCheck::new()
        .settings(SETTINGS)
        .timeout(CHECK_TIMEOUT)
        .on_prompt(move |text| prompt.send(text.to_owned()).unwrap());
    let calling = async {
        assert!(prompts.recv().await.unwrap().contains("conform.echo"));
        futures::future::join_all(steps.iter().map(|step| caller.step(step))).await;
        if steps.len() > 1 {
            // The check ends by itself.
            return std::future::pending().await;
        }
        if ["endless", "never"].contains(&steps[0]) {
            let done = timeout(STEP_TIMEOUT, prompts.recv()).await;
            assert!(done.unwrap().unwrap().contains("is done"));
        }
        let waits = fault == "credit-returned";
        sleep(if waits {
            SETTINGS.answer_timeout + VERDICT_TIME
        } else {
            VERDICT_TIME
        })
        .await;
    };
    let report = check.run_until(&mesh.mesh, calling).await.unwrap();
    let jetstream = async_nats::jetstream::new(mesh.nats().await);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    assert_eq!(
        catalog.get("catalog").await.unwrap().unwrap(),
        "[]",
        "the kit has left"
    );
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn correct_caller_passes_every_rule() {
    let mesh = TestMesh::start().await;
    let report = report_with(&[], async |_| report(&mesh, &STEPS, "").await).await;
    assert_eq!(failures(&report), []);
    assert_eq!(skips(&report), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_fails_for_a_caller_that_breaks_it() {
    let reports = rules(Role::Caller).map(|rule| async move {
        // The kit serves the same agents in each check.
        let mesh = TestMesh::start().await;
        let step = step(rule.id);
        let report = async |_| report(&mesh, &[step], rule.id).await;
        (rule.id, step, report_with(&[rule.id], report).await)
    });
    let mut reports = stream::iter(reports).buffer_unordered(CONCURRENT);
    while let Some((rule, step, report)) = reports.next().await {
        let failures = failures(&report);
        let failed: Vec<&str> = failures.iter().map(|(id, _)| *id).collect();
        assert_eq!(failed, [rule], "{rule} by {step}: {failures:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_without_a_caller_ends_at_its_timeout() {
    let mesh = TestMesh::start().await;
    let check = CallerCheck::new().timeout(Duration::from_millis(300));
    let report = check
        .run_until(&mesh.mesh, std::future::pending())
        .await
        .unwrap();
    assert_eq!(failures(&report), []);
    assert_eq!(skips(&report).len(), rules(Role::Caller).count());
    assert!(report.is_success());
}
