//! The same over the same server without the SDK: the least that it could take.

use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh::protocol::{
    ChunkHeaders, HeaderSink, ReplyHeaders, RequestHeaders, Status, header,
};
use openagentmesh::{InstanceId, RequestId};

use super::{body, caller};
use crate::Result;

const ECHO: &str = "raw.echo";
const CHUNKS: &str = "raw.chunks";
const EVENTS: &str = "raw.events";

fn json_body() -> Bytes {
    format!("\"{}\"", body()).into()
}

/// Serves until the connection is lost. Whoever asks with headers is answered with headers.
pub(super) async fn serve(url: &str) -> Result<impl Future<Output = Result<()>>> {
    let client = async_nats::connect(url).await?;
    let mut echo = client.subscribe(ECHO).await?;
    let mut many = client.subscribe(format!("{CHUNKS}.*")).await?;
    client.flush().await?;
    let instance_id = InstanceId::random();
    Ok(async move {
        let echoing = async {
            while let Some(request) = echo.next().await {
                give_back(&client, &instance_id, request).await?;
            }
            Result::Ok(())
        };
        let streaming = async {
            while let Some(request) = many.next().await {
                give_many(&client, &instance_id, request).await?;
            }
            Result::Ok(())
        };
        tokio::try_join!(echoing, streaming)?;
        Err("the connection was lost".into())
    })
}

async fn give_back(client: &Client, instance_id: &InstanceId, request: Message) -> Result<()> {
    let reply = request.reply.ok_or("a request without a reply subject")?;
    let Some(headers) = request.headers else {
        return Ok(client.publish(reply, request.payload).await?);
    };
    let mut answer = Headers::default();
    ReplyHeaders {
        status: Status::Ok,
        source: Some(ECHO),
        request_id: headers.get(header::REQUEST_ID).map(HeaderValue::as_str),
        instance_id: Some(instance_id.as_str()),
        usage: None,
    }
    .write(&mut answer);
    let published = client.publish_with_headers(reply, answer.0, request.payload);
    Ok(published.await?)
}

/// Publishes as many bodies as the request says to its reply subject: the chunks of a stream, or
/// events, which differ in their headers.
async fn give_many(client: &Client, instance_id: &InstanceId, request: Message) -> Result<()> {
    let subject = request.reply.ok_or("a request without a reply subject")?;
    let count: u64 = serde_json::from_slice(&request.payload)?;
    let body = json_body();
    let Some(headers) = request.headers else {
        for _ in 0..count {
            client.publish(subject.clone(), body.clone()).await?;
        }
        return Ok(());
    };
    let request_id = headers.get(header::REQUEST_ID).map(HeaderValue::as_str);
    // What a consumer of chunks says comes here, and so does the server's word that it is gone.
    let feedback = async_nats::Subject::from(client.new_inbox());
    for seq in 0..count {
        let mut headers = Headers::default();
        ChunkHeaders {
            seq: Some(seq),
            request_id,
            instance_id: Some(instance_id.as_str()),
            ..ChunkHeaders::default()
        }
        .write(&mut headers);
        let (subject, body) = (subject.clone(), body.clone());
        match request_id {
            Some(_) => {
                let feedback = feedback.clone();
                client
                    .publish_with_reply_and_headers(subject, feedback, headers.0, body)
                    .await?;
            }
            None => {
                client
                    .publish_with_headers(subject, headers.0, body)
                    .await?
            }
        }
    }
    Ok(())
}

#[derive(Clone)]
pub(super) struct Caller {
    client: Client,
    /// The process, if headers are sent.
    instance_id: Option<InstanceId>,
    body: Bytes,
}

impl Caller {
    pub(super) async fn connect(url: &str, with_headers: bool) -> Result<Self> {
        Ok(Self {
            client: async_nats::connect(url).await?,
            instance_id: with_headers.then(InstanceId::random),
            body: json_body(),
        })
    }

    /// The headers of a request, if there are any.
    fn headers(&self) -> Option<HeaderMap> {
        let mut headers = Headers::default();
        RequestHeaders {
            request_id: Some(RequestId::random()),
            instance_id: Some(self.instance_id.clone()?),
            timeout_ms: Some(30_000),
            probe: true,
            ..RequestHeaders::default()
        }
        .write(&mut headers);
        Some(headers.0)
    }

    /// Has so many messages published to `subject`, and takes them.
    async fn take(&self, subject: String, headers: Option<HeaderMap>, messages: u32) -> Result<()> {
        let mut subscriber = self.client.subscribe(subject.clone()).await?;
        let count = Bytes::from(messages.to_string());
        let to = format!("{CHUNKS}.{messages}");
        match headers {
            Some(headers) => {
                let asked = self
                    .client
                    .publish_with_reply_and_headers(to, subject, headers, count);
                asked.await?;
            }
            None => self.client.publish_with_reply(to, subject, count).await?,
        }
        count_all(&mut subscriber, messages).await
    }
}

/// Fewer than the client keeps for a slow reader, so that none is dropped.
async fn count_all(subscriber: &mut Subscriber, messages: u32) -> Result<()> {
    for _ in 0..messages {
        subscriber.next().await.ok_or("the connection was lost")?;
    }
    Ok(())
}

impl caller::Calls for Caller {
    async fn call(&self) -> Result<()> {
        let reply = match self.headers() {
            Some(headers) => {
                let body = self.body.clone();
                self.client
                    .request_with_headers(ECHO, headers, body)
                    .await?
            }
            None => self.client.request(ECHO, self.body.clone()).await?,
        };
        if reply.payload != self.body {
            return Err("another body came back".into());
        }
        Ok(())
    }

    async fn chunks(&self, messages: u32) -> Result<()> {
        let subject = self.client.new_inbox();
        self.take(subject, self.headers(), messages).await
    }

    async fn events(&self, messages: u32) -> Result<()> {
        // Events have no request, and so no id of one.
        let headers = self.instance_id.as_ref().map(|instance_id| {
            let mut headers = Headers::default();
            headers.put(header::INSTANCE_ID, instance_id.as_str());
            headers.0
        });
        self.take(EVENTS.to_owned(), headers, messages).await
    }
}

#[derive(Default)]
struct Headers(HeaderMap);

impl HeaderSink for Headers {
    fn put(&mut self, name: &'static str, value: &str) {
        self.0.insert(HeaderName::from_static(name), value);
    }
}
