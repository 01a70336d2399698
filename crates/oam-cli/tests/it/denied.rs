//! Commands that the server does not permit, and servers that cannot be used: each names the cause and the remedy.

use openagentmesh::AgentMesh;

use crate::support::{ConfiguredServer, Sandbox};

/// A server with JetStream and two users: "ann" may not publish to "mesh.agent.echo" and the key "secret", and "bob" may
/// read single keys directly, and nothing else that is stored.
async fn start_server() -> ConfiguredServer {
    ConfiguredServer::start(
        true,
        "authorization { users: [ { user: ann, password: pw, permissions: { publish: { deny: \
         [\"mesh.agent.echo\", \"$KV.mesh-context.secret\"] } } }, { user: bob, password: pw, permissions: { publish: { \
         deny: [\"$JS.API.CONSUMER.>\", \"$JS.API.STREAM.MSG.GET.>\"] } } } ] }",
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_command_names_the_subject() {
    let server = start_server().await;
    let url = server.url_of("ann");
    let mesh = AgentMesh::connect(&url).await.unwrap();
    mesh.create_buckets().await.unwrap();
    let sandbox = Sandbox::new();
    for (arguments, subject) in [
        (["agent", "call", "echo", "7"], "mesh.agent.echo"),
        (["kv", "put", "secret", "x"], "$KV.mesh-context.secret"),
    ] {
        let output = sandbox.oam(&[&arguments[..], &["--url", &url]].concat());
        assert_eq!(output.code, 4, "{output:?}");
        assert!(
            output.stderr.contains("error[connection_denied]"),
            "{output:?}"
        );
        assert!(output.stderr.contains(subject), "{output:?}");
        assert!(!output.stderr.contains("--timeout"), "{output:?}");
    }
    let put = sandbox.oam(&["kv", "put", "open", "x", "--url", &url]);
    assert_eq!(put.code, 0, "{put:?}");
}

/// Lets the values of the bucket be read directly.
async fn allow_direct_gets(server: &ConfiguredServer) {
    let options =
        async_nats::ConnectOptions::with_user_and_password("ann".to_owned(), "pw".to_owned());
    let client = options.connect(&server.address).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = jetstream.get_stream("KV_mesh-context").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.allow_direct = true;
    jetstream.update_stream(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_key_without_the_permission_to_list_keys_has_no_suggestion() {
    let server = start_server().await;
    let ann = server.url_of("ann");
    let mesh = AgentMesh::connect(&ann).await.unwrap();
    mesh.create_buckets().await.unwrap();
    mesh.kv().put("limits", "1").await.unwrap();
    allow_direct_gets(&server).await;
    let bob = server.url_of("bob");
    let output = Sandbox::new().oam(&["kv", "get", "limts", "--url", &bob]);
    assert_eq!(output.code, 5, "{output:?}");
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines[0], "error[not_found]: key 'limts' has no value");
    assert_eq!(lines[1], "  hint: oam kv list lists the keys with a value");
    assert_eq!(lines.len(), 3, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_credentials_name_the_option() {
    let server = start_server().await;
    let url = format!("nats://{}", server.address);
    let output = Sandbox::new().oam(&["mesh", "catalog", "--url", &url]);
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("got none"), "{output:?}");
    assert!(output.stderr.contains("--creds FILE"), "{output:?}");
}

#[test]
fn unsupported_scheme_is_a_usage_error() {
    let output = Sandbox::new().oam(&["mesh", "catalog", "--url", "wss://127.0.0.1:4222"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("use tls://"), "{output:?}");
}
