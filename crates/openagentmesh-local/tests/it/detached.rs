//! Detached servers: start, ports, search and stop.

use openagentmesh_local::LocalError;

use crate::support::detached_home::DetachedHome;
use crate::support::process::processes_of;
use crate::support::{assert_nothing_left, contents, eventually, free_ports, role};

#[tokio::test]
async fn detached_server_outlives_its_starter_until_stopped() {
    let home = DetachedHome::new();
    let mut starter = role::start("starter", home.path());
    assert!(starter.exited().await.success());

    let settings = home.settings().await;
    let servers = settings.list().await.unwrap();
    let [server] = servers.as_slice() else {
        panic!("{servers:?}")
    };
    async_nats::connect(server.url())
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
    let system = async_nats::ConnectOptions::with_user_and_password(
        server.system_user().to_owned(),
        server.system_password().to_owned(),
    );
    system.connect(server.url()).await.unwrap();
    assert_eq!(server.started_in(), std::env::current_dir().unwrap());
    assert!(server.started_at() <= std::time::SystemTime::now());
    assert!(server.version().starts_with("2."));
    assert!(server.log_path().is_file());

    server.stop().await.unwrap();
    assert_nothing_left(home.path());
    server.stop().await.unwrap();
    assert_eq!(settings.list().await.unwrap(), []);
}

#[tokio::test]
async fn detached_server_is_found_by_its_url() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let with_websocket = settings.clone().websocket_origin("http://localhost:3000");
    let server = with_websocket.start().await.unwrap();
    let other = settings.clone().start().await.unwrap();
    for url in [
        server.url().to_owned(),
        server.websocket_url().unwrap().to_owned(),
        format!("nats://localhost:{}", server.port()),
    ] {
        assert_eq!(
            settings.find_by_url(&url).await.unwrap().as_ref(),
            Some(&server),
            "{url}"
        );
    }
    assert_eq!(
        settings.find_by_url("nats://localhost:1").await.unwrap(),
        None
    );
    assert_eq!(
        settings.list().await.unwrap(),
        [server.clone(), other.clone()]
    );
    server.stop().await.unwrap();
    assert_eq!(settings.list().await.unwrap(), std::slice::from_ref(&other));
    other.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_concurrent_starts_on_one_port_succeeds() {
    let home = DetachedHome::new();
    let port = free_ports();
    let mut starts = tokio::task::JoinSet::new();
    for number in 0..6 {
        let place = format!("/place/{number}");
        let settings = home.settings().await.port(port).started_in(&place);
        let settings = settings.websocket_origin("http://localhost:3000");
        starts.spawn(async move { settings.start().await });
    }
    let (started, refused): (Vec<_>, Vec<_>) =
        starts.join_all().await.into_iter().partition(Result::is_ok);
    let [Ok(winner)] = started.as_slice() else {
        panic!("{started:?}")
    };
    assert_eq!(winner.port(), port);
    for failure in refused.into_iter().map(Result::unwrap_err) {
        let LocalError::PortTakenByMesh {
            port: taken,
            started_in,
            ..
        } = &failure
        else {
            panic!("{failure}")
        };
        assert_eq!((*taken, started_in.as_path()), (port, winner.started_in()));
    }
    // The next port is in use too, for WebSocket clients.
    let failure = home
        .settings()
        .await
        .port(port + 1)
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(failure, LocalError::PortTakenByMesh { .. }),
        "{failure}"
    );
    winner.stop().await.unwrap();
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn port_of_another_program_is_an_error_that_names_it() {
    let home = DetachedHome::new();
    let port = free_ports();
    let _other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let failure = home.settings().await.port(port).start().await.unwrap_err();
    assert!(
        matches!(failure, LocalError::PortTaken { port: p } if p == port),
        "{failure}"
    );
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn cancelled_detached_start_leaves_nothing() {
    let home = DetachedHome::new();
    for milliseconds in [0, 2, 10, 20, 30] {
        let start = home.settings().await.start();
        let limit = std::time::Duration::from_millis(milliseconds);
        if let Ok(server) = tokio::time::timeout(limit, start).await {
            server.unwrap().stop().await.unwrap();
        }
    }
    eventually("cancelled servers are gone", || {
        processes_of(home.path()).is_empty()
            && contents(&home.path().join(".agentmesh/mesh")).is_empty()
    })
    .await;
}
