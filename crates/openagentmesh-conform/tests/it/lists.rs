//! Lists of expected failures, and the outcomes of reports.

use std::time::Duration;

use openagentmesh_conform::{CallerCheck, Expected, Role, Surprise, rules};

use crate::caller::Caller;
use crate::support::{SETTINGS, TestMesh};

#[test]
fn invalid_list_names_its_line() {
    for (text, part) in [
        ("reply-status", "line 1: missing reason"),
        ("\n# comment\nreply-status: ", "line 3: missing reason"),
        (
            "no-such-rule: reason",
            "rule 'no-such-rule' of a host not found",
        ),
        (
            "reply-status: one\nreply-status: two",
            "line 2: rule 'reply-status' is listed twice",
        ),
        (
            "request-id: of a caller",
            "rule 'request-id' of a host not found",
        ),
    ] {
        let error = Expected::parse(text, Role::Host).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(
        Expected::parse("# nothing\n", Role::Host)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn ids_of_rules_are_unique() {
    let mut ids: Vec<&str> = rules(Role::Host)
        .chain(rules(Role::Caller))
        .map(|rule| rule.id)
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlisted_failure_and_listed_pass_are_surprises() {
    let mesh = TestMesh::start().await;
    let caller = Caller::new(mesh.nats().await, "request-timeout");
    let calling = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        caller.step("echo").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let check = CallerCheck::new().settings(SETTINGS);
    let report = check.run_until(&mesh.mesh, calling).await.unwrap();
    assert!(report.is_success(), "the rule is one of an extension");
    let compare = |text: &str| {
        Expected::parse(text, Role::Caller)
            .unwrap()
            .compare(&report)
    };
    assert_eq!(
        compare("request-timeout: writes none\noutcome-gap: not checked"),
        []
    );
    assert!(matches!(
        &compare("")[..],
        [Surprise::UnlistedFailure {
            rule: "request-timeout",
            ..
        }]
    ));
    let surprises = compare("request-timeout: writes none\nrequest-probe: writes none");
    assert_eq!(
        surprises,
        [Surprise::ListedPass {
            rule: "request-probe"
        }]
    );
}
