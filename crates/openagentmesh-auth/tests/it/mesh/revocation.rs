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
    let some = AgentSpec::new("shop.some", "Yields numbers, and does not end.");
    let some = some.handler(|to: u32| stream::iter(0..to).chain(stream::pending()));
    within(worker.register([never, some])).await.unwrap();

    let caller = mesh.invoker("bob").await;
    let mut chunks = within(caller.stream::<u32>("shop.some", 1)).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    // Of this one, chunks that have arrived are taken later, and credit is due then.
    let mut many = within(caller.stream::<u32>("shop.some", 8)).await.unwrap();
    assert_eq!(within(many.next()).await.unwrap().unwrap(), 0);
    let call = tokio::spawn(caller.call::<u32>("shop.never", 1).into_future());
    within(receives.recv()).await.unwrap();
    mesh.server.store.revoke(&"bob".parse().unwrap()).unwrap();
    mesh.server.reload();

    let refused = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied, "{refused}");
    assert_eq!(refused.details()["credentials"], "refused", "{refused}");
    let refused = within(async {
        loop {
            if let Err(refused) = many.next().await.unwrap() {
                return refused;
            }
        }
    });
    let refused = refused.await;
    assert_eq!(refused.code(), &ErrorCode::ConnectionDenied, "{refused}");
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
