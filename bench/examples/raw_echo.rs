//! `examples/echo.rs` with the bare client, for the comparison of build times.

use futures::StreamExt;

#[tokio::main]
async fn main() -> Result<(), async_nats::Error> {
    let client = async_nats::connect("127.0.0.1:4222").await?;
    let mut requests = client.queue_subscribe("echo", "echo".to_owned()).await?;
    while let Some(request) = requests.next().await {
        let message: String = serde_json::from_slice(&request.payload)?;
        let Some(reply) = request.reply else { continue };
        let echo = serde_json::to_vec(&format!("Echo: {message}"))?;
        client.publish(reply, echo.into()).await?;
    }
    Ok(())
}
