//! The options of a connection: each works, each failure names its option, no secret is shown.

use std::future::IntoFuture;
use std::path::Path;
use std::time::Duration;

use nkeys::{KeyPair, KeyPairType};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode, MeshBuilder};

use crate::support::operator::Operator;
use crate::support::role::{is_role, role};
use crate::support::secured::{Certificates, SecuredServer};
use crate::support::{TestMesh, echo, eventually, subscribed, within};

/// A mesh that is connected: a message to itself comes back.
async fn works(builder: MeshBuilder) {
    let mesh = within(builder.connect()).await.unwrap();
    let mut events = within(mesh.subscribe_subject::<u32>("test.round_trip"))
        .await
        .unwrap();
    mesh.publish("test.round_trip", 7).await.unwrap();
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, 7);
}

async fn is_denied(builder: MeshBuilder) -> String {
    let error = within(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionDenied, "{error:?}");
    error.message().to_owned()
}

async fn is_invalid(builder: MeshBuilder, option: &str) -> String {
    let error = within(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Configuration, "{error:?}");
    assert!(error.message().contains(option), "{error}");
    error.message().to_owned()
}

fn at(server: &SecuredServer) -> MeshBuilder {
    AgentMesh::builder().url(server.url())
}

#[tokio::test]
async fn user_and_password_connect_by_option_and_by_url() {
    let server = SecuredServer::start("authorization { user: \"ann\", password: \"p:w@d\" }").await;
    works(at(&server).user_and_password("ann", "p:w@d")).await;
    works(AgentMesh::builder().url(format!("nats://ann:p%3Aw%40d@{}", server.address))).await;
    let denied = is_denied(at(&server).user_and_password("ann", "wrong")).await;
    assert!(denied.contains("user_and_password"), "{denied}");
    let denied = is_denied(at(&server)).await;
    assert!(denied.contains("OAM_CREDS"), "{denied}");
}

#[tokio::test]
async fn token_connects_by_option_and_by_url() {
    let server = SecuredServer::start("authorization { token: \"t0ken\" }").await;
    works(at(&server).token("t0ken")).await;
    works(AgentMesh::builder().url(format!("nats://t0ken@{}", server.address))).await;
    let denied = is_denied(at(&server).token("wrong")).await;
    assert!(denied.contains("check token"), "{denied}");
}

#[tokio::test]
async fn nkey_connects_and_a_malformed_seed_is_a_configuration_error() {
    let key = KeyPair::new_user();
    let server = SecuredServer::start(&format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        key.public_key()
    ))
    .await;
    works(at(&server).nkey(key.seed().unwrap())).await;
    is_denied(at(&server).nkey(KeyPair::new_user().seed().unwrap())).await;
    is_invalid(at(&server).nkey("SUnonsense"), "nkey").await;
}

#[tokio::test]
async fn jwt_with_seed_and_credentials_file_connect() {
    let operator = Operator::generate();
    let server = SecuredServer::start(operator.configuration()).await;
    works(at(&server).jwt(&operator.user_jwt, &operator.user_seed)).await;
    is_denied(at(&server).jwt(&operator.user_jwt, KeyPair::new_user().seed().unwrap())).await;
    is_invalid(at(&server).jwt(&operator.user_jwt, "nonsense"), "jwt").await;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("user.creds");
    std::fs::write(&file, operator.credentials_file()).unwrap();
    works(at(&server).credentials(&file)).await;
    std::fs::write(&file, "nonsense").unwrap();
    let message = is_invalid(at(&server).credentials(&file), "credentials").await;
    assert!(message.contains("user.creds"), "{message}");
    let missing = directory.path().join("missing.creds");
    is_invalid(at(&server).credentials(missing), "missing.creds").await;
}

#[tokio::test]
async fn ca_file_makes_a_private_server_trusted() {
    let certificates = Certificates::generate();
    let server = SecuredServer::start(&certificates.configuration(false)).await;
    works(at(&server).ca_file(certificates.path("ca.pem"))).await;

    let other = Certificates::generate();
    let untrusted = at(&server).ca_file(other.path("ca.pem"));
    let error = within(untrusted.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
    assert!(error.message().contains("ca_file"), "{error}");

    is_invalid(
        at(&server).ca_file(certificates.path("missing.pem")),
        "ca_file",
    )
    .await;
    is_invalid(
        at(&server).ca_file(certificates.path("server.key")),
        "ca_file",
    )
    .await;
}

/// The text as an editor on Windows may save it.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn encoding_of_a_file_is_named_as_the_cause() {
    let operator = Operator::generate();
    let server = SecuredServer::start(operator.configuration()).await;
    let certificates = Certificates::generate();
    let (creds, pem) = (certificates.path("user.creds"), certificates.path("ca.pem"));
    let save = |path: &Path, content: &[u8]| std::fs::write(path, content).unwrap();

    save(&creds, &utf16(&operator.credentials_file()));
    let message = is_invalid(at(&server).credentials(&creds), "credentials").await;
    assert!(message.contains("is UTF-16 text"), "{message}");
    save(&creds, &utf16(&operator.credentials_file())[2..]);
    let message = is_invalid(at(&server).credentials(&creds), "credentials").await;
    assert!(message.contains("binary or UTF-16"), "{message}");
    let marked = format!("\u{feff}{}", operator.credentials_file());
    save(&creds, marked.as_bytes());
    works(at(&server).credentials(&creds)).await;

    let text = std::fs::read_to_string(&pem).unwrap();
    save(&pem, format!("\u{feff}{text}").as_bytes());
    let message = is_invalid(at(&server).ca_file(&pem), "ca_file").await;
    assert!(message.contains("byte order mark"), "{message}");
    save(&pem, &utf16(&text));
    let message = is_invalid(at(&server).ca_file(&pem), "ca_file").await;
    assert!(message.contains("is UTF-16 text"), "{message}");
}

#[tokio::test]
async fn client_certificate_is_shown_to_a_server_that_verifies_clients() {
    let certificates = Certificates::generate();
    let server = SecuredServer::start(&certificates.configuration(true)).await;
    let trusting = || at(&server).ca_file(certificates.path("ca.pem"));
    let (certificate, key) = (
        certificates.path("client.pem"),
        certificates.path("client.key"),
    );
    works(trusting().client_certificate(&certificate, &key)).await;
    within(trusting().connect()).await.unwrap_err();
    is_invalid(
        trusting().client_certificate(&key, &key),
        "client_certificate",
    )
    .await;
    is_invalid(
        trusting().client_certificate(&certificate, &certificate),
        "client_certificate",
    )
    .await;
}

#[tokio::test]
async fn tls_options_are_never_used_without_tls() {
    let test = TestMesh::start().await;
    let certificates = Certificates::generate();
    let builder = AgentMesh::builder()
        .url(test.server.url())
        .ca_file(certificates.path("ca.pem"));
    let error = within(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error:?}");
}

#[tokio::test]
async fn two_ways_to_authenticate_are_a_configuration_error_that_names_both() {
    let builder = AgentMesh::builder().url("nats://127.0.0.1:1");
    let message = is_invalid(builder.clone().token("a").nkey("b"), "token").await;
    assert!(message.contains("nkey"), "{message}");
    let login = AgentMesh::builder()
        .url("nats://ann@127.0.0.1:1")
        .token("a");
    let message = is_invalid(login, "token").await;
    assert!(message.contains("url"), "{message}");
}

#[tokio::test]
async fn inbox_prefix_and_connection_name_are_seen_by_the_server() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let raw = test.raw().await;
    let mut requests = subscribed(&raw, "mesh.agent.echo").await;
    let mesh = AgentMesh::builder()
        .url(test.server.url())
        .inbox_prefix("_INBOX.team")
        .connection_name("invoice service")
        .connect()
        .await
        .unwrap();
    let reply: String = within(mesh.call("echo", "x")).await.unwrap();
    assert_eq!(reply, "Echo: x");
    let request = eventually(|| std::future::ready(futures_now(&mut requests))).await;
    assert!(request.reply.unwrap().starts_with("_INBOX.team."));

    let system = async_nats::ConnectOptions::new()
        .user_and_password(
            test.server.system_user().to_owned(),
            test.server.system_password().to_owned(),
        )
        .connect(test.server.url())
        .await
        .unwrap();
    let connections = system
        .request("$SYS.REQ.SERVER.PING.CONNZ", "".into())
        .await
        .unwrap();
    let connections = String::from_utf8_lossy(&connections.payload).into_owned();
    assert!(connections.contains("\"invoice service\""), "{connections}");

    let builder = || AgentMesh::builder().url(test.server.url());
    is_invalid(builder().inbox_prefix("a b"), "inbox_prefix").await;
    is_invalid(builder().inbox_prefix("a.>"), "inbox_prefix").await;
    is_invalid(builder().connection_name("a\nb"), "connection_name").await;
}

#[tokio::test]
async fn request_timeout_is_the_default_of_calls_and_sends() {
    let test = TestMesh::start().await;
    let never = AgentSpec::new("never", "Never replies.").handler(std::future::pending::<u32>);
    test.mesh.register(never).await.unwrap();
    let mesh = AgentMesh::builder()
        .url(test.server.url())
        .request_timeout(Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    let error = within(mesh.call::<u32>("never", ())).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    let reply = mesh.send("never", ()).reply::<u32>().await.unwrap();
    assert_eq!(within(reply).await.unwrap_err().code(), &ErrorCode::Timeout);
    // A timeout of the call's own is longer than the default.
    let patient = mesh
        .call::<u32>("never", ())
        .timeout(Duration::from_secs(60));
    let outcome = tokio::time::timeout(Duration::from_millis(600), patient.into_future()).await;
    assert!(outcome.is_err(), "the call is still waiting");

    let zero = AgentMesh::builder().request_timeout(Duration::ZERO);
    is_invalid(zero, "request_timeout").await;
}

fn futures_now(requests: &mut async_nats::Subscriber) -> Option<async_nats::Message> {
    use futures::{FutureExt, StreamExt};
    requests.next().now_or_never().flatten()
}

#[tokio::test]
async fn secrets_are_never_in_debug_logs_or_errors() {
    // A process of its own, because a subscriber that sees every log is global.
    let role = role("options::connects_with_secrets").output();
    let output = within(role).await.unwrap();
    let logged = [output.stdout, output.stderr].concat();
    let logged = String::from_utf8_lossy(&logged);
    assert!(output.status.success(), "{logged}");
    assert!(logged.contains("CONNECT"), "the client logs what it sends");
    assert!(!logged.contains(SECRET), "{logged}");
    assert!(!logged.contains(&secret_seed()), "{logged}");
}

const SECRET: &str = "s3cr3t-s3cr3t";

/// The same seed in the process that connects and in the one that reads its log.
fn secret_seed() -> String {
    let key = KeyPair::new_from_raw(KeyPairType::User, [7; 32]).unwrap();
    key.seed().unwrap()
}

#[tokio::test]
#[ignore = "a process of another test"]
async fn connects_with_secrets() {
    if !is_role() {
        return;
    }
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .init();

    let server = SecuredServer::start("authorization { user: \"ann\", password: \"other\" }").await;
    let seed = secret_seed();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("user.creds");
    std::fs::write(&file, format!("-----BEGIN {SECRET}")).unwrap();
    let with_login = |scheme: &str| format!("{scheme}://ann:{SECRET}@{}", server.address);
    let builders = [
        (
            "user_and_password",
            at(&server).user_and_password("ann", SECRET),
        ),
        ("token", at(&server).token(SECRET)),
        ("nkey", at(&server).nkey(&seed)),
        ("malformed nkey", at(&server).nkey(SECRET)),
        ("jwt", at(&server).jwt(SECRET, &seed)),
        ("malformed jwt seed", at(&server).jwt("jwt", SECRET)),
        ("credentials", at(&server).credentials(&file)),
        ("url", AgentMesh::builder().url(with_login("nats"))),
        (
            "url with a bad scheme",
            AgentMesh::builder().url(with_login("http")),
        ),
        (
            "url without a host",
            AgentMesh::builder().url(format!("nats://ann:{SECRET}@")),
        ),
        (
            "url in vain",
            AgentMesh::builder().url(format!("nats://ann:{SECRET}@127.0.0.1:1")),
        ),
        (
            "url and token",
            AgentMesh::builder().url(with_login("nats")).token(SECRET),
        ),
    ];
    for (name, builder) in builders {
        let debug = format!("{builder:?}");
        let error = within(builder.connect()).await.unwrap_err();
        let mut shown = format!("{debug} {error} {error:?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            shown += &format!(" {error} {error:?}");
            cause = error.source();
        }
        assert!(!shown.contains(SECRET), "{name}: {shown}");
        assert!(!shown.contains(&seed), "{name}: {shown}");
    }
    let endpoint = openagentmesh::Endpoint::resolve(Some(&with_login("nats")), None).unwrap();
    assert!(!format!("{endpoint:?}").contains(SECRET));
}
