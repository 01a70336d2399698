//! Lists that a process makes again and again.

use async_nats::jetstream;

use super::Poisoned;
use crate::support::poison::{self, POISONS, Poison};
use crate::support::{echo, eventually, within};

/// The records of instances, which every process reads again and again, and a bucket that is listed and watched often.
async fn repeated_reads_cost_one_reconnection(poison: Poison) {
    let name = poison.name;
    let poisoned = Poisoned::start(poison).await;
    let kv = poisoned.test.mesh.kv();
    kv.put("a", "1").await.unwrap();
    poisoned.store_key("p", "odd").await;
    kv.put("z", "2").await.unwrap();
    let reader = poisoned.reader().await;
    for _ in 0..3 {
        let keys = within(reader.mesh.kv().keys(">")).await.unwrap();
        assert_eq!(keys, poisoned.values(&["a", "p", "z"], &["p"]), "{name}");
        let others = within(reader.mesh.kv().keys("z")).await.unwrap();
        assert_eq!(others, ["z"], "{name}");
    }
    // A replaced message is forgotten.
    kv.put("p", "plain").await.unwrap();
    let keys = within(reader.mesh.kv().keys(">")).await.unwrap();
    assert_eq!(keys, ["a", "p", "z"], "{name}");
    reader.has_reconnected(1, name).await;
    instances_are_read(&poisoned, b"$KV.mesh-instances.odd").await;
}

/// A host and its monitor read the records, of which that of `subject` is poisonous.
async fn instances_are_read(poisoned: &Poisoned, subject: &[u8]) {
    let name = poisoned.poison.name;
    let (url, headers) = (poisoned.test.server.url(), poisoned.poison.headers);
    let host = poisoned.reader().await;
    host.mesh.register(echo()).await.unwrap();
    poison::publish(url, subject, headers, b"1").await;
    for _ in 0..3 {
        let instances = within(host.mesh.instances()).await.unwrap();
        assert_eq!(instances.len(), 1, "{name}");
    }
    // The monitor removes a record that is not renewed, after several looks.
    let dead = b"{\"agents\": [\"echo\"], \"lease_ms\": 2000}";
    let plain = b"NATS/1.0\r\nX: y\r\n\r\n";
    poison::publish(url, "$KV.mesh-instances.dead", plain, dead).await;
    let raw = jetstream::new(poisoned.test.raw().await);
    let records = raw.get_key_value("mesh-instances").await.unwrap();
    eventually(|| async { records.get("dead").await.unwrap().is_none().then_some(()) }).await;
    // The host, its monitor and the lists here may receive the record before one of them knows it.
    host.has_reconnected(3, name).await;
}

#[tokio::test]
async fn poison_that_is_read_repeatedly_costs_each_reader_one_reconnection() {
    for poison in POISONS {
        Box::pin(repeated_reads_cost_one_reconnection(poison)).await;
    }
}

#[tokio::test]
async fn record_whose_key_is_not_utf8_costs_each_reader_one_reconnection() {
    let plain = Poison {
        name: "a key that is not UTF-8",
        headers: b"NATS/1.0\r\nX: y\r\n\r\n",
        is_malformed: false,
    };
    let poisoned = Poisoned::start(plain).await;
    poisoned.test.mesh.kv().put("a", "1").await.unwrap();
    instances_are_read(&poisoned, b"$KV.mesh-instances.\xff").await;
}
