//! The output and the agents of the examples of the book's recipes.

use std::collections::BTreeMap;
use std::time::Duration;

use openagentmesh::{AgentMesh, AgentSpec, KvChange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::examples::{code, run_call};
use crate::support::{Example, within_deadline};

pub(crate) async fn quotes(example: Example, mesh: &AgentMesh) {
    let mut host = Example::start("responder", mesh.url());
    let [_, _, _] = host.until_serving(mesh).await;
    let expected = [
        format!("waiting for shipping.quote on {}", mesh.url()),
        "found shipping.quote: Returns the price and the duration of a delivery. #logistics"
            .to_owned(),
        "SE: 570 cents, 2 days".to_owned(),
        "FI: 1020 cents, 4 days".to_owned(),
        "FR: no delivery to FR".to_owned(),
    ];
    assert_eq!(example.output().await, expected);
    host.terminate().await;
}

pub(crate) async fn worker(mut example: Example, mesh: &AgentMesh) {
    let [] = example.until_serving(mesh).await;
    let reply: Value = within_deadline(mesh.call("photos.thumbnail", 7))
        .await
        .unwrap();
    assert_eq!(reply, json!({"photo": 7, "worker": example.pid()}));
    example.terminate().await;
}

/// One worker is killed while requests are under way.
pub(crate) async fn album(mut example: Example, mesh: &AgentMesh) {
    let mut stays = Example::start("worker", mesh.url());
    let [] = stays.until_serving(mesh).await;
    let killed = Example::start("worker", mesh.url());
    assert_eq!(example.line().await, "400 photos");
    // Both workers have a share of the requests before one of them dies.
    within_deadline(async {
        while mesh.instances().await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(killed);
    let lines = example.output().await;
    let made = lines.iter().filter_map(|line| line.split_once(" made "));
    let made: u32 = made.map(|(_, count)| count.parse::<u32>().unwrap()).sum();
    assert_eq!(made, 400);
    assert!(
        lines.last().unwrap().starts_with("400 thumbnails by "),
        "{lines:?}"
    );
    stays.terminate().await;
    // The monitor removes the dead worker, which served the same agent.
    let mut changes = mesh.catalog().watch();
    within_deadline(async {
        while !mesh.catalog().fresh().await.unwrap().is_empty() {
            changes.next().await;
        }
    })
    .await;
}

pub(crate) async fn planner(mut example: Example, mesh: &AgentMesh) {
    let [bergen, atlantis] = example.until_serving(mesh).await;
    let plan = run_call(mesh, &bergen).await.unwrap();
    assert_eq!(
        plan,
        json!({"weather": "rain", "visit": "Museum of Bergen"})
    );
    assert_eq!(code(run_call(mesh, &atlantis).await), "unknown_city");
    let short = mesh
        .call::<Value>("trip.plan", "Bergen")
        .timeout(Duration::from_millis(100));
    assert_eq!(code(within_deadline(short).await), "timeout");
    example.terminate().await;
}

pub(crate) async fn tool_selection(example: Example, _: &AgentMesh) {
    let lines = example.output().await;
    assert_eq!(lines[0], "300 agents");
    let bytes = |line: &str| -> usize {
        let words: Vec<&str> = line.split(' ').collect();
        words[words.len() - 2].parse().unwrap()
    };
    assert!(bytes(&lines[1]) * 5 < bytes(&lines[2]), "{lines:?}");
    assert!(lines[3].starts_with("selected order.cancel, "), "{lines:?}");
    assert!(bytes(&lines[4]) * 50 < bytes(&lines[2]), "{lines:?}");
    assert_eq!(
        lines[5],
        r#"order_cancel({"number":17}): "cancel order 17: done""#
    );
}

pub(crate) async fn embedder(mut example: Example, mesh: &AgentMesh) {
    let [] = example.until_serving(mesh).await;
    let vector: Vec<f32> = within_deadline(mesh.call("text.embed", "two words"))
        .await
        .unwrap();
    assert_eq!(vector.len(), 256);
    let length: f32 = vector.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 0.001, "{vector:?}");
    example.terminate().await;
}

pub(crate) async fn index(example: Example, mesh: &AgentMesh) {
    let mut embedder = Example::start("embedder", mesh.url());
    let [] = embedder.until_serving(mesh).await;
    let lines = example.output().await;
    assert_eq!(lines[0], "6 documents are indexed");
    assert!(
        lines[1].contains("A refund is paid within five days"),
        "{lines:?}"
    );
    embedder.terminate().await;
}

pub(crate) async fn pipeline(mut example: Example, mesh: &AgentMesh) {
    let [] = example.until_serving(mesh).await;
    let kv = mesh.kv();
    let mut titles = kv.watch("articles.title.*").await.unwrap();
    kv.put("articles.raw.1", "  The   mesh is\n up ")
        .await
        .unwrap();
    let change = within_deadline(titles.next()).await.unwrap().unwrap();
    assert!(matches!(&change, KvChange::Put(entry) if entry.text().unwrap() == "The mesh is …"));
    kv.delete("articles.raw.1").await.unwrap();
    let change = within_deadline(titles.next()).await.unwrap().unwrap();
    assert_eq!(change.key(), "articles.title.1");
    assert!(!matches!(change, KvChange::Put(_)));
    example.terminate().await;
}

/// Three workers do each task once.
pub(crate) async fn plan_worker(example: Example, mesh: &AgentMesh) {
    let second = Example::start("plan_worker", mesh.url());
    let third = Example::start("plan_worker", mesh.url());
    let mut done = 0;
    for worker in [example, second, third] {
        let lines = worker.output().await;
        let words: Vec<&str> = lines.last().unwrap().split(' ').collect();
        done += words[4].parse::<u32>().unwrap();
    }
    assert_eq!(done, 40);
    let plan = mesh.kv().get("plan").await.unwrap().unwrap();
    let plan: BTreeMap<String, Value> = plan.json().unwrap();
    assert_eq!(plan.len(), 40);
    assert!(
        plan.values().all(|task| task["state"] == "done"),
        "{plan:?}"
    );
}

pub(crate) async fn approval(mut example: Example, mesh: &AgentMesh) {
    assert!(example.line().await.starts_with("serving payments.pay"));
    for _ in 0..2 {
        assert!(example.line().await.starts_with("  oam "));
    }
    within_deadline(mesh.wait_for("payments.pay"))
        .await
        .unwrap();
    let invoice =
        |number: u32, cents: u32| json!({"number": number, "payee": "ACME", "cents": cents});
    let pay = |invoice| mesh.call::<String>("payments.pay", invoice);
    assert_eq!(
        within_deadline(pay(invoice(1, 500))).await.unwrap(),
        "paid 5.00 to ACME"
    );
    for (number, decision, outcome) in [(17, "yes", "paid 250.00 to ACME"), (18, "no", "rejected")]
    {
        let key = format!("approvals.{number}");
        let mut asked = mesh.kv().watch(&key).await.unwrap();
        let payment = tokio::spawn(pay(invoice(number, 25_000)).into_future());
        let pending = within_deadline(asked.next()).await.unwrap().unwrap();
        assert!(
            matches!(&pending, KvChange::Put(entry) if entry.text().unwrap() == "pending: 250.00 to ACME")
        );
        mesh.kv().put(&key, decision).await.unwrap();
        let paid = within_deadline(payment).await.unwrap();
        let paid = paid.unwrap_or_else(|error| error.code().to_string());
        assert_eq!(paid, outcome);
    }
    let undecided = pay(invoice(19, 25_000)).timeout(Duration::from_millis(1500));
    assert!(
        within_deadline(undecided)
            .await
            .unwrap_err()
            .is("not_decided")
    );
    example.terminate().await;
}

pub(crate) async fn bookings(example: Example, _: &AgentMesh) {
    let expected = [
        "ticket 1001",
        "take 3",
        "choose another train: train 7 does not run",
        "call the helpdesk: handler_error: cannot print the ticket: no paper",
        "2 of 4 are overloaded",
        "4 of 4 succeed with retries",
    ];
    assert_eq!(example.output().await, expected);
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

/// The agent in Python has its test in `python/tests`.
pub(crate) async fn text_tools(mut example: Example, mesh: &AgentMesh) {
    let [] = example.until_serving(mesh).await;
    let summarize = AgentSpec::new("text.summarize", "Summarises.")
        .handler(|input: Text| async move { json!({"summary": input.text, "words": 2}) });
    mesh.register(summarize).await.unwrap();
    let report: String = within_deadline(mesh.call("text.report", json!({"text": "to be"})))
        .await
        .unwrap();
    assert_eq!(report, "2 words about: to be");
    let empty = mesh.call::<Value>("text.count", json!({"text": " "}));
    assert_eq!(code(within_deadline(empty).await), "empty_text");
    mesh.deregister(["text.summarize"]).await.unwrap();
    example.terminate().await;
}

/// Without `PROBE_ADDRESS`. A console block of the book runs it with readiness probes.
pub(crate) async fn summarize(mut example: Example, mesh: &AgentMesh) {
    let [] = example.until_serving(mesh).await;
    let summary: String = within_deadline(mesh.call("summarize", "to be or not to be"))
        .await
        .unwrap();
    assert_eq!(summary, "to be or not to");
    example.terminate().await;
}
