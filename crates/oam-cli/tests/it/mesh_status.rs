//! `oam mesh status`.

use std::time::Duration;

use async_nats::{ConnectOptions, jetstream};
use openagentmesh::{AgentMesh, ErrorCode, agent, agents};
use openagentmesh_local::LocalCluster;
use serde_json::{Value, json};

use crate::support::{CommandOutput, ConfiguredServer, Sandbox, TestMesh, within_deadline};

const BUCKETS: [&str; 7] = [
    "mesh-catalog",
    "mesh-registry",
    "mesh-instances",
    "mesh-observability",
    "mesh-context",
    "mesh-leases",
    "mesh-artifacts",
];

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

async fn bucket(url: &str, name: &str) -> jetstream::kv::Store {
    let options = match url.contains("admin:pw@") {
        true => ConnectOptions::with_user_and_password("admin".to_owned(), "pw".to_owned()),
        false => ConnectOptions::new(),
    };
    let raw = options.connect(url).await.unwrap();
    jetstream::new(raw).get_key_value(name).await.unwrap()
}

/// Adds an entry to the catalog without a host.
async fn list(url: &str, name: &str) {
    let catalog = bucket(url, "mesh-catalog").await;
    within_deadline("write of the catalog", async {
        loop {
            let entry = catalog.entry("catalog").await.unwrap().unwrap();
            let mut document: Value = serde_json::from_slice(&entry.value).unwrap();
            document.as_array_mut().unwrap().push(json!({
                "name": name, "description": "", "version": "1.0.0", "tags": [],
                "invocable": true, "streaming": false,
            }));
            let document = document.to_string().into();
            if catalog
                .update("catalog", document, entry.revision)
                .await
                .is_ok()
            {
                return;
            }
        }
    })
    .await;
}

fn parse(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The JSON status, once `is_reached` holds of it.
async fn status_with(
    sandbox: &Sandbox,
    url: &str,
    is_reached: impl Fn(&Value) -> bool,
) -> (i32, Value) {
    let mut last = (-1, Value::Null);
    for _ in 0..150 {
        let output = sandbox.oam(&["mesh", "status", "--json", "--url", url]);
        last = (output.code, parse(&output));
        if is_reached(&last.1) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("not reached: {last:?}");
}

fn bucket_in<'s>(status: &'s Value, name: &str) -> &'s Value {
    let buckets = status["buckets"].as_array().unwrap();
    let found = buckets.iter().find(|bucket| bucket["bucket"] == name);
    found.unwrap_or_else(|| panic!("{name} missing: {status}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_mesh_is_shown_with_all_parts() {
    let mesh = TestMesh::start(agents![echo]).await;
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    // As the published Python SDKs: a subscription, and no record.
    let _served = raw
        .queue_subscribe("mesh.agent.py.served", "mesh.agent.py.served".to_owned())
        .await
        .unwrap();
    raw.flush().await.unwrap();
    list(&mesh.url, "py.served").await;
    list(&mesh.url, "py.gone").await;

    let id = mesh.client.instance_id().to_string();
    let is_active = |status: &Value| status["monitor"]["active"] == true;
    let (code, status) = status_with(&mesh.sandbox, &mesh.url, is_active).await;
    assert_eq!(code, 0, "{status}");
    assert_eq!(status["server"]["url"], mesh.url);
    assert!(status["server"]["version"].is_string());
    assert_eq!(status["server"]["cluster"], Value::Null);
    assert_eq!(status["jetstream"]["enabled"], true);
    assert!(status["jetstream"]["storage_bytes"].as_u64().unwrap() > 0);
    for name in BUCKETS {
        let bucket = bucket_in(&status, name);
        assert_eq!(bucket["exists"], true, "{bucket}");
        assert_eq!(bucket["replicas"], 1, "{bucket}");
    }
    assert_eq!(bucket_in(&status, "mesh-registry")["messages"], 1);
    assert_eq!(status["monitor"]["instance"], id);
    let [instance] = &status["instances"].as_array().unwrap()[..] else {
        panic!("{status}");
    };
    assert_eq!(instance["instance"], id);
    assert_eq!(instance["agents"], json!(["echo"]));
    assert_eq!(instance["state"], "serving");
    assert_eq!(instance["connected"], true);
    assert_eq!(instance["overdue"], false);
    assert!(instance["sdk"].as_str().unwrap().starts_with("rust/"));
    assert!(instance["renewed_ms_ago"].is_u64());
    assert_eq!(
        status["agents_without_instance"],
        json!([
            {"agent": "py.gone", "subscribed": false},
            {"agent": "py.served", "subscribed": true},
        ])
    );
    assert_eq!(
        status["catalog"],
        json!({"valid": true, "agents": 3, "invalid_entries": 0, "problem": null})
    );
    assert_eq!(status["errors"], json!([]));
    assert_eq!(status["unreadable"], json!([]));
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("py.gone"), "{warnings}");
    assert!(!warnings.contains("py.served"), "{warnings}");

    let table = mesh.oam(&["mesh", "status"]);
    assert_eq!(table.code, 0, "{table:?}");
    for fragment in [
        "nats-server 2.",
        &mesh.url,
        "BUCKET",
        "mesh-leases",
        &id,
        "serving",
        "3 agents",
        "AGENT WITHOUT INSTANCE",
        "py.served",
    ] {
        assert!(table.stdout.contains(fragment), "{fragment}: {table:?}");
    }
    assert!(
        table
            .stderr
            .contains("warning: agents without a process: py.gone")
    );
    println!("{}{}", table.stdout, table.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_with_few_permissions_sees_the_other_parts() {
    let server = ConfiguredServer::start(
        true,
        "authorization { users: [ { user: admin, password: pw }, { user: ann, password: pw, permissions: { publish: \
         { deny: [\"$JS.API.INFO\", \"$JS.API.STREAM.INFO.KV_mesh-registry\", \"$SYS.REQ.ACCOUNT.PING.CONNZ\", \
         \"$JS.API.STREAM.MSG.GET.KV_mesh-leases\", \"$JS.API.STREAM.MSG.GET.KV_mesh-instances\", \
         \"$JS.API.CONSUMER.CREATE.KV_mesh-instances\", \
         \"$JS.API.CONSUMER.CREATE.KV_mesh-instances.>\"] } } } ] }",
    )
    .await;
    let host = AgentMesh::connect(server.url_of("admin")).await.unwrap();
    host.register(agents![echo]).await.unwrap();
    let leases = |status: &Value| bucket_in(status, "mesh-leases")["exists"] == true;
    let sandbox = Sandbox::new();
    let (code, status) = status_with(&sandbox, &server.url_of("ann"), leases).await;
    assert_eq!(code, 0, "{status}");
    let unreadable: Vec<&str> = status["unreadable"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            assert_eq!(part["code"], "connection_denied", "{part}");
            assert!(part["message"].as_str().unwrap().contains('$'), "{part}");
            part["part"].as_str().unwrap()
        })
        .collect();
    let denied = [
        "jetstream",
        "monitor",
        "instances",
        "agents_without_instance",
        "mesh-registry",
    ];
    assert_eq!(unreadable, denied);
    assert_eq!(status["jetstream"], Value::Null);
    assert_eq!(status["instances"], Value::Null);
    assert_eq!(status["monitor"]["active"], Value::Null);
    assert_eq!(bucket_in(&status, "mesh-registry")["exists"], Value::Null);
    assert_eq!(bucket_in(&status, "mesh-context")["exists"], true);
    assert_eq!(status["catalog"]["agents"], 1);
    assert_eq!(status["errors"], json!([]));

    let table = sandbox.oam(&["mesh", "status", "--url", &server.url_of("ann")]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(
        table.stdout.contains("not readable for this user"),
        "{table:?}"
    );
    assert!(table.stdout.contains("1 agent"), "{table:?}");
    for subject in ["$JS.API.INFO", "KV_mesh-leases", "KV_mesh-registry"] {
        assert!(table.stderr.contains(subject), "{subject}: {table:?}");
    }
    assert_eq!(table.stderr.lines().count(), 1, "{table:?}");
    assert!(!table.stdout.contains(":pw@"), "{table:?}");

    // Connections are not readable, the records are.
    let server = ConfiguredServer::start(
        true,
        "authorization { users: [ { user: admin, password: pw }, { user: ann, password: pw, permissions: { publish: \
         { deny: [\"$SYS.REQ.ACCOUNT.PING.CONNZ\"] } } } ] }",
    )
    .await;
    let host = AgentMesh::connect(server.url_of("admin")).await.unwrap();
    host.register(agents![echo]).await.unwrap();
    list(&server.url_of("admin"), "py.served").await;
    let active = |status: &Value| status["monitor"]["active"] == true;
    let (code, status) = status_with(&sandbox, &server.url_of("ann"), active).await;
    assert_eq!(code, 0, "{status}");
    assert_eq!(status["instances"][0]["connected"], Value::Null);
    assert_eq!(
        status["agents_without_instance"],
        json!([{"agent": "py.served", "subscribed": null}])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_that_does_not_work_is_exit_code_1() {
    let sandbox = Sandbox::new();
    let plain = ConfiguredServer::start(false, "").await;
    let url = format!("nats://{}", plain.address);
    let output = sandbox.oam(&["mesh", "status", "--url", &url]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("disabled"), "{output:?}");
    assert!(
        output.stderr.contains("error: JetStream unavailable"),
        "{output:?}"
    );
    let output = sandbox.oam(&["mesh", "status", "--json", "--url", &url]);
    assert_eq!(parse(&output)["jetstream"], json!({"enabled": false}));

    let server = ConfiguredServer::start(true, "").await;
    let url = format!("nats://{}", server.address);
    let empty = sandbox.oam(&["mesh", "status", "--url", &url]);
    assert_eq!(empty.code, 0, "{empty:?}");
    assert!(empty.stderr.contains("missing buckets:"), "{empty:?}");
    let mesh = AgentMesh::connect(&url).await.unwrap();
    mesh.create_buckets().await.unwrap();
    let catalog = bucket(&url, "mesh-catalog").await;
    catalog
        .put("catalog", "no catalog\u{1b}[31m".into())
        .await
        .unwrap();
    let output = sandbox.oam(&["mesh", "status", "--url", &url]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("malformed"), "{output:?}");
    assert!(
        output.stderr.contains("error: malformed catalog"),
        "{output:?}"
    );
    assert!(!output.stderr.contains('\u{1b}'), "{output:?}");
    let json = parse(&sandbox.oam(&["mesh", "status", "--json", "--url", &url]));
    assert_eq!(json["catalog"]["valid"], false);

    drop((plain, server));
    let gone = sandbox.oam(&["mesh", "status", "--url", &url]);
    gone.assert_failure(&["mesh", "status"], 3, &["error[connection_failed]"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_in_a_record_is_escaped() {
    let mesh = TestMesh::start(agents![echo]).await;
    // A record without a connection is judged by the client name.
    let _alive = ConnectOptions::new()
        .name("oam-host-stranger")
        .connect(&mesh.url)
        .await
        .unwrap();
    let records = bucket(&mesh.url, "mesh-instances").await;
    let record = json!({
        "agents": ["x"], "state": "odd\u{1b}[31m\nline", "sdk": "a\u{202e}b", "lease_ms": 60_000,
    });
    records
        .put("stranger", record.to_string().into())
        .await
        .unwrap();
    let table = mesh.oam(&["mesh", "status"]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains(r"odd\u{1b}[31m\nline"), "{table:?}");
    let json = mesh.oam(&["mesh", "status", "--json"]);
    assert!(json.stdout.contains(r"a\u202eb"), "{json:?}");
    for output in [&table, &json] {
        let shown = [&*output.stdout, &*output.stderr].concat();
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_is_shown_with_its_replicas() {
    let mut cluster = LocalCluster::start().await.unwrap();
    let sandbox = Sandbox::new();
    let mesh = AgentMesh::connect(cluster.url()).await.unwrap();
    let replicate = async |replicas| {
        // An election of a leader may take longer than one attempt.
        while let Err(error) = mesh.replicate_buckets(replicas).await {
            assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
        }
    };
    replicate(Some(1)).await;
    let url = cluster.nodes()[0].url().to_owned();
    let (code, status) = status_with(&sandbox, &url, |status| {
        bucket_in(status, "mesh-catalog")["replicas"] == 1
    })
    .await;
    assert_eq!(code, 0, "{status}");
    assert!(status["server"]["cluster"].is_string());
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("one replica in a cluster"), "{warnings}");
    assert!(warnings.contains("--replicas 3"), "{warnings}");

    replicate(None).await;
    let is_replicated = |status: &Value| {
        let buckets = status["buckets"].as_array().unwrap();
        let stored = buckets.iter().filter(|bucket| bucket["exists"] == true);
        let is_current = |peer: &Value| peer["current"] == true;
        status["warnings"] == json!([])
            && stored.clone().count() >= 6
            && stored.clone().all(|bucket| {
                let peers = bucket["peers"].as_array().unwrap();
                peers.len() == 2 && peers.iter().all(is_current) && bucket["leader"].is_string()
            })
    };
    let (code, status) = status_with(&sandbox, &url, is_replicated).await;
    assert_eq!((code, &status["warnings"]), (0, &json!([])), "{status}");

    let name = cluster.nodes()[2].name();
    cluster.kill_node(2).await.unwrap();
    let is_behind = |status: &Value| {
        let warnings = status["warnings"].to_string();
        warnings.contains(&format!("server {name} is not up to date with"))
    };
    let (_, status) = status_with(&sandbox, &url, is_behind).await;
    println!("{status:#}");
    let table = sandbox.oam(&["mesh", "status", "--url", &url]);
    assert!(table.stdout.contains(&name), "{table:?}");
    println!("{}{}", table.stdout, table.stderr);
}
