//! The WebSocket port: closed by default, else open to the web pages of the given origins only.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openagentmesh_local::{LocalError, LocalServer};

use crate::support::detached_home::DetachedHome;
use crate::support::{assert_nothing_left, builder, home};

const READ_TIMEOUT: Duration = Duration::from_secs(30);
const PAGE: &str = "http://localhost:3000";
const OTHER_PAGE: &str = "https://app.example";
const INVALID_ORIGINS: [&str; 6] = [
    "*",
    "null",
    "",
    "localhost:3000",
    "http://localhost:3000/app",
    "http://localhost\"] }",
];

/// The status of the answer to a WebSocket handshake with these headers.
fn handshake(port: u16, headers: &[(&str, &str)]) -> u16 {
    let mut request = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        .to_owned();
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    let status = str::from_utf8(&status).unwrap();
    status.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

/// The handshake of a page of `origin`.
fn page(port: u16, origin: &str) -> u16 {
    let host = format!("127.0.0.1:{port}");
    handshake(port, &[("Host", &host), ("Origin", origin)])
}

fn assert_only_pages_are_accepted(url: &str) {
    let port = url
        .strip_prefix("ws://127.0.0.1:")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(page(port, PAGE), 101);
    assert_eq!(page(port, OTHER_PAGE), 101);
    for other in [
        "https://evil.example",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://127.0.0.1:3000",
        "http://localhost.evil.example:3000",
        "http://app.example",
        "null",
    ] {
        assert_eq!(page(port, other), 403, "{other}");
    }
    // A page whose host name resolves to 127.0.0.1.
    let host = format!("evil.example:{port}");
    let origin = format!("http://{host}");
    assert_eq!(
        handshake(port, &[("Host", &host), ("Origin", &origin)]),
        403
    );
    // Not a browser.
    assert_eq!(handshake(port, &[("Host", "127.0.0.1")]), 101);
}

/// The ports on which a process listens.
#[cfg(target_os = "linux")]
fn listening_ports(pid: u32) -> Vec<u16> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    let mut ports = Vec::new();
    for family in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/net/{family}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_listening = fields[3] == "0A";
            if is_listening && sockets.contains(&format!("socket:[{}]", fields[9])) {
                let port = fields[1].rsplit_once(':').unwrap().1;
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[tokio::test]
async fn server_without_origins_has_no_websocket_port() {
    let server = LocalServer::start().await.unwrap();
    assert_eq!(server.websocket_url(), None);
    assert_eq!(server.websocket_origins(), &[] as &[String]);
    #[cfg(target_os = "linux")]
    assert_eq!(listening_ports(server.pid()), [server.port()]);

    let home = DetachedHome::new();
    let detached = home.settings().await.start().await.unwrap();
    assert_eq!(detached.websocket_url(), None);
    #[cfg(target_os = "linux")]
    assert_eq!(listening_ports(detached.pid()), [detached.port()]);
    detached.stop().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn page_of_another_origin_is_refused() {
    let home = home();
    let settings = builder(&home).await;
    let settings = settings.websocket_origin(PAGE);
    let server = settings.websocket_origin(OTHER_PAGE).start().await.unwrap();
    assert_eq!(server.websocket_origins(), [PAGE, OTHER_PAGE]);
    assert_only_pages_are_accepted(server.websocket_url().unwrap());
    server.stop().await.unwrap();
    assert_nothing_left(home.path());

    let home = DetachedHome::new();
    let settings = home.settings().await.websocket_origin(PAGE);
    let settings = settings.websocket_origin(OTHER_PAGE.to_uppercase() + "/");
    settings.start().await.unwrap();
    // As another process finds it.
    let [server] = settings_list(&home).await.try_into().unwrap();
    assert_eq!(server.websocket_origins(), [PAGE, OTHER_PAGE]);
    assert_only_pages_are_accepted(server.websocket_url().unwrap());
    server.stop().await.unwrap();
    assert_nothing_left(home.path());
}

async fn settings_list(home: &DetachedHome) -> Vec<openagentmesh_local::DetachedServer> {
    home.settings().await.list().await.unwrap()
}

#[tokio::test]
async fn request_of_a_page_to_the_port_for_clients_is_refused() {
    let server = LocalServer::start().await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    let request = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(b"CONNECT {}\r\nPING\r\n").ok();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("-ERR"), "{answer}");
    assert!(!answer.contains("PONG"), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_origin_is_an_error_that_names_it() {
    let home = home();
    for invalid in INVALID_ORIGINS {
        let settings = builder(&home).await.websocket_origin(PAGE);
        let failure = settings
            .websocket_origin(invalid)
            .start()
            .await
            .unwrap_err();
        assert!(
            matches!(&failure, LocalError::InvalidOrigin { origin } if origin == invalid),
            "{failure}"
        );
    }
    assert_nothing_left(home.path());
}
