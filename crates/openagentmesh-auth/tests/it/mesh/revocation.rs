//! A user whose credentials are refused while it is connected.

use futures::{StreamExt, stream};
use openagentmesh::{AgentSpec, ConnectionState, ErrorCode};
use tokio::sync::mpsc;

use super::{Mesh, within};

#[tokio::test]
async fn pending_requests_of_a_revoked_user_end_with_the_reason() {
    let mesh = Mesh::start().await;
    let worker = mesh.worker("ada", "shop").await;
    let never = AgentSpec::new("shop.never", "Never replies.");
    let (started, mut receives) = mpsc::channel(1);
    let never = never.handler(move |_: u32| {
        let started = started.clone();
        async move {
            started.send(()).await.unwrap();
            std::future::pending::<u32>().await
        }
    });
    let one = AgentSpec::new("shop.one", "Yields one number, and does not end.");
    let one = one.handler(|_: u32| stream::iter([1_u32]).chain(stream::pending()));
    within(worker.register([never, one])).await.unwrap();

    let caller = mesh.invoker("bob").await;
    let mut chunks = within(caller.stream::<u32>("shop.one", 1)).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let call = tokio::spawn(caller.call::<u32>("shop.never", 1).into_future());
    within(receives.recv()).await.unwrap();
    mesh.server.store.revoke(&"bob".parse().unwrap()).unwrap();
    mesh.server.reload();

    let refused = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied, "{refused}");
    assert_eq!(refused.details()["credentials"], "refused", "{refused}");
    let refused = within(call).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied, "{refused}");
    assert_eq!(caller.status(), ConnectionState::Refused);
    // Later requests do not wait for their timeout.
    let refused = within(caller.call::<u32>("shop.never", 1)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied, "{refused}");
    within(worker.shutdown()).await.unwrap();
    mesh.end().await;
}
