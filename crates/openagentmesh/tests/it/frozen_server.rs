//! A server that is stopped keeps its connections, and answers nothing.

use std::process::Command;

use crate::lost_connection::all_fail;
use crate::support::{TestMesh, echo, within};
use futures::stream;
use openagentmesh::{AgentSpec, ErrorCode};

#[tokio::test]
async fn requests_to_a_stopped_server_end_with_a_timeout() {
    let test = TestMesh::start().await;
    let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
    test.mesh.register([echo(), count]).await.unwrap();
    // The cache of this connection is still empty.
    let caller = test.peer().await;
    let signal = |name: &str| {
        let pid = test.server.pid().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-STOP");
    all_fail(&caller, 1, &ErrorCode::Timeout).await;
    let subscription = caller.subscribe::<u32>("numbers");
    let error = within(subscription).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
    signal("-CONT");
    assert_eq!(
        within(caller.call::<String>("echo", "x")).await.unwrap(),
        "Echo: x"
    );
}
