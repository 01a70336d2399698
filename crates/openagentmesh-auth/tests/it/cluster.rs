//! A cluster of servers with the configurations of one store, and certificates.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use openagentmesh::AgentMesh;
use openagentmesh_auth::{ClusterMember, Grants, Role, ServerConfig, Store};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::support::{ServerProcess, within};

/// The files of an authority, of a certificate that it has signed for this machine, and of the certificate's key.
struct Certificates {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn new(directory: &Path) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certified = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let signed = params.signed_by(&key, &issuer).unwrap();
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self {
            authority: write("authority.pem", certified.pem()),
            certificate: write("certificate.pem", signed.pem()),
            key: write("key.pem", key.serialize_pem()),
        }
    }
}

/// Free ports, which differ, and which no outgoing connection is given.
fn free_ports() -> [u16; 3] {
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    let offset = OFFSET.fetch_add(20, Ordering::Relaxed);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap() + offset;
    let mut bound =
        (first..32_000).filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let listeners = [(); 3].map(|()| bound.next().unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Sends `text` as another server would. Returns what the server says until its answer to PING, or until it ends the connection.
fn say_as_server(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut said = String::new();
    lines.read_line(&mut said).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    while !said.ends_with("PONG\r\n") {
        match lines.read_line(&mut said) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}: {said}"),
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_the_configurations_of_one_store_are_one_mesh() {
    let directory = TempDir::new().unwrap();
    let store = Store::init(&directory.path().join("auth")).unwrap();
    let certificates = Certificates::new(directory.path());
    let ports = free_ports();
    let mut servers = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let home = directory.path().join(format!("n{index}"));
        std::fs::create_dir(&home).unwrap();
        let mut member = ClusterMember::new("mesh", format!("n{index}"))
            .listen(format!("127.0.0.1:{port}"))
            .authority(&certificates.authority);
        for other in ports.iter().filter(|other| *other != port) {
            member = member.route(format!("127.0.0.1:{other}"));
        }
        let config = ServerConfig::new(home.join("data"))
            .port(0)
            .tls(&certificates.certificate, &certificates.key)
            .member(member);
        servers.push(ServerProcess::start(&home, &config.render(&store).unwrap()).await);
    }

    let creds = |name: &str, role| {
        let grants = Grants::builder(role).build().unwrap();
        let credentials = store.add(&name.parse().unwrap(), &grants, None).unwrap();
        let path = directory.path().join(format!("{name}.creds"));
        credentials.write(&path).unwrap();
        path
    };
    let connect = |server: &ServerProcess, creds: &Path| {
        let builder = AgentMesh::builder().url(format!("tls://{}", server.address));
        let builder = builder.ca_file(&certificates.authority).credentials(creds);
        within(async move { builder.connect().await })
    };
    let operator = creds("root", Role::Operator);
    let writer = connect(&servers[0], &operator).await.unwrap();
    // Without a leader, the first attempts fail.
    within(async { while writer.create_buckets().await.is_err() {} }).await;
    let buckets = within(writer.replicate_buckets(None)).await.unwrap();
    assert!(
        buckets.iter().all(|bucket| bucket.replicas == 3),
        "{buckets:?}"
    );
    within(writer.kv().put("motto", "fresh")).await.unwrap();
    let observer = creds("watcher", Role::Observer);
    let reader = connect(&servers[2], &observer).await.unwrap();
    let read = within(reader.kv().get("motto")).await.unwrap().unwrap();
    assert_eq!(read.value, "fresh".as_bytes());
}

#[tokio::test]
async fn server_without_the_password_is_refused() {
    let directory = TempDir::new().unwrap();
    let store = Store::init(&directory.path().join("auth")).unwrap();
    let [port, other, _] = free_ports();
    let member = ClusterMember::new("mesh", "n1")
        .listen(format!("127.0.0.1:{port}"))
        .route(format!("127.0.0.1:{other}"));
    let config = ServerConfig::new(directory.path().join("data"))
        .port(0)
        .member(member);
    let config = config.render(&store).unwrap();
    let _server = ServerProcess::start(directory.path(), &config).await;
    let login = |password: &str| {
        let server = "\"name\":\"n2\",\"cluster\":\"mesh\",\"server_id\":\"N2\"";
        let login = format!("{{{server},\"user\":\"route\",\"pass\":\"{password}\"}}");
        say_as_server(port, &format!("CONNECT {login}\r\nPING\r\n"))
    };
    let said = login("guessed");
    assert!(said.contains("Authorization Violation"), "{said}");
    assert!(!said.contains("PONG"), "{said}");
    let said = login(&store.route_password().unwrap());
    assert!(said.contains("PONG"), "{said}");
}
