//! The receiver of what callers of all contenders publish.

use async_nats::{Client, Subscriber};
use futures::StreamExt;
use tokio::sync::watch;

use crate::error::Result;

/// The subject that it counts the messages of.
pub(in crate::roles) const SINK: &str = "mesh.bench.sink";
/// The subject of requests that are answered when a number of messages has arrived.
const COUNT: &str = "mesh.bench.sink-count";

/// Waits until the sink has received `messages` messages since the last wait.
pub(in crate::roles) async fn counted(client: &Client, messages: u32) -> Result<()> {
    let reply = client.request(COUNT, messages.to_string().into()).await?;
    let received: u32 = serde_json::from_slice(&reply.payload)?;
    if received != messages {
        return Err(format!("{received} of {messages} messages received").into());
    }
    Ok(())
}

/// Counts messages until the connection is lost.
pub(super) async fn serve(client: Client) -> Result<impl Future<Output = Result<()>>> {
    let published = client.subscribe(SINK).await?;
    let requests = client.subscribe(COUNT).await?;
    let received = watch::Sender::new(0);
    let counting = count(published, received.clone());
    Ok(async move {
        tokio::select! {
            () = counting => Ok(()),
            answered = answer(client, requests, received) => answered,
        }
    })
}

async fn count(mut published: Subscriber, received: watch::Sender<u32>) {
    while published.next().await.is_some() {
        received.send_modify(|received| *received += 1);
    }
}

async fn answer(
    client: Client,
    mut requests: Subscriber,
    received: watch::Sender<u32>,
) -> Result<()> {
    while let Some(request) = requests.next().await {
        let expected: u32 = serde_json::from_slice(&request.payload)?;
        let reply = request.reply.ok_or("the request has no reply subject")?;
        received
            .subscribe()
            .wait_for(|received| *received >= expected)
            .await?;
        let received = received.send_replace(0);
        client.publish(reply, received.to_string().into()).await?;
    }
    Ok(())
}
