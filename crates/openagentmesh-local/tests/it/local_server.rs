//! Servers that live as long as their owner.

use std::time::Duration;

use async_nats::jetstream;
use openagentmesh_local::{LocalError, LocalServer};

use crate::support::process::{processes_of, servers_of};
use crate::support::{
    assert_nothing_left, builder, contents, eventually, free_ports, home, nats_server,
};

#[tokio::test]
async fn server_with_default_settings_serves_clients() {
    let server = LocalServer::start().await.unwrap();
    let directory = server.directory().to_owned();
    assert!(server.log_path().is_file());
    assert!(server.url().ends_with(&format!(":{}", server.port())));
    async_nats::connect(server.url())
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
    server.stop().await.unwrap();
    assert!(!directory.exists());
}

#[tokio::test]
async fn anonymous_client_has_jetstream_and_system_user_has_the_system_account() {
    let home = home();
    let server = builder(&home).await.start().await.unwrap();

    let client = async_nats::connect(server.url()).await.unwrap();
    assert_eq!(client.server_info().max_payload, 8 * 1024 * 1024);
    let context = jetstream::new(client);
    let config = jetstream::kv::Config {
        bucket: "b".into(),
        ..Default::default()
    };
    let bucket = context.create_key_value(config).await.unwrap();
    bucket.put("key", "value".into()).await.unwrap();
    assert_eq!(bucket.get("key").await.unwrap().unwrap(), "value");

    let system = async_nats::ConnectOptions::with_user_and_password(
        server.system_user().to_owned(),
        server.system_password().to_owned(),
    );
    let system = system.connect(server.url()).await.unwrap();
    let pong = system
        .request("$SYS.REQ.SERVER.PING", "".into())
        .await
        .unwrap();
    let pong = String::from_utf8_lossy(&pong.payload).into_owned();
    assert!(pong.contains("oam-"), "{pong}");

    server.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn max_payload_setting_is_applied() {
    let home = home();
    let server = builder(&home)
        .await
        .max_payload(4096)
        .start()
        .await
        .unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    assert_eq!(client.server_info().max_payload, 4096);
}

#[tokio::test]
async fn dropped_server_leaves_nothing() {
    let home = home();
    let server = builder(&home).await.start().await.unwrap();
    assert_eq!(servers_of(home.path()), [server.pid()]);
    drop(server);
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn cancelled_start_leaves_nothing() {
    let home = home();
    for milliseconds in [0, 1, 5, 10, 15, 20, 25, 30] {
        let start = builder(&home).await.start();
        if let Ok(server) = tokio::time::timeout(Duration::from_millis(milliseconds), start).await {
            drop(server.unwrap());
        }
    }
    eventually("cancelled servers are gone", || {
        processes_of(home.path()).is_empty()
            && contents(&home.path().join(".agentmesh/run")).is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_concurrent_starts_succeed() {
    let home = home();
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let builder = builder(&home).await;
        starts.spawn(async move { builder.start().await.unwrap() });
    }
    let servers = starts.join_all().await;
    assert_eq!(servers_of(home.path()).len(), 20);
    for server in &servers {
        async_nats::connect(server.url())
            .await
            .unwrap()
            .flush()
            .await
            .unwrap();
    }
    for server in servers {
        server.stop().await.unwrap();
    }
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn port_in_use_is_an_error_that_names_it() {
    let home = home();
    let port = free_ports();
    let settings = builder(&home).await.port(port);

    let other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let failure = settings.clone().start().await.unwrap_err();
    assert!(
        matches!(failure, LocalError::PortTaken { port: p } if p == port),
        "{failure}"
    );
    drop(other);
    assert_nothing_left(home.path());

    let with_websocket = settings.clone().websocket_origin("http://localhost:3000");
    let other = std::net::TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    let failure = with_websocket.clone().start().await.unwrap_err();
    assert!(
        matches!(failure, LocalError::WebSocketPortTaken { port: p, websocket_port }
            if p == port && websocket_port == port + 1),
        "{failure}"
    );
    assert_nothing_left(home.path());
    let server = settings.start().await.unwrap();
    assert_eq!(server.url(), format!("nats://127.0.0.1:{port}"));
    server.stop().await.unwrap();
    drop(other);

    let server = with_websocket.clone().start().await.unwrap();
    assert_eq!(server.url(), format!("nats://127.0.0.1:{port}"));
    assert_eq!(
        server.websocket_url(),
        Some(&*format!("ws://127.0.0.1:{}", port + 1))
    );
    server.stop().await.unwrap();

    let failure = with_websocket.port(65535).start().await.unwrap_err();
    assert!(
        matches!(failure, LocalError::InvalidPort { port: 65535 }),
        "{failure}"
    );
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn rejected_configuration_is_an_error_with_the_log() {
    let home = home();
    // The value is above the server's limit of pending bytes per client.
    let failure = builder(&home)
        .await
        .max_payload(1 << 30)
        .start()
        .await
        .unwrap_err();
    let LocalError::Exited { log, .. } = &failure else {
        panic!("{failure}")
    };
    assert!(log.contains("max_payload"), "{log}");
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn server_in_unusual_directory_name_works() {
    let home = home();
    let strange = home.path().join("Zoë's \"new\" $HOME # {a} \\n\tx");
    let server = LocalServer::builder()
        .home_directory(&strange)
        .binary(nats_server().await)
        .start();
    let server = server.await.unwrap();
    assert!(server.log_path().is_file());
    assert!(server.directory().join("data/jetstream").is_dir());
    server.stop().await.unwrap();
    assert_nothing_left(&strange);
}

#[cfg(unix)]
#[tokio::test]
async fn server_has_private_files_and_its_own_process_group() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let server = builder(&home).await.start().await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.directory()), 0o700);
    assert_eq!(mode(&server.directory().join("nats-server.conf")), 0o600);

    // The owner holds the lock. The server has not inherited the lock file.
    let lock = std::fs::File::open(server.directory().join("owner.lock")).unwrap();
    assert!(lock.try_lock().is_err());
    if cfg!(target_os = "linux") {
        let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
        for file in files.flatten() {
            // A file may be closed after it was listed.
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            assert!(
                !target.to_string_lossy().ends_with(".lock"),
                "{}",
                target.display()
            );
        }
    }
    if cfg!(target_os = "linux") {
        // Ctrl-C signals a process group. The server has one of its own.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
        let group = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .nth(2)
            .unwrap();
        assert_eq!(group, server.pid().to_string());
    }
    drop(server);
    assert!(lock.try_lock().is_ok());
}

#[tokio::test]
async fn missing_program_is_an_error_that_names_it() {
    let home = home();
    let missing = home.path().join("missing");
    let settings = LocalServer::builder().home_directory(home.path());
    let failure = settings.binary(&missing).start().await.unwrap_err();
    assert!(
        matches!(failure, LocalError::ServerUnusable { .. }),
        "{failure}"
    );
    assert!(
        failure.to_string().contains(missing.to_str().unwrap()),
        "{failure}"
    );
}
