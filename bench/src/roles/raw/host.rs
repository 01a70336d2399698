//! The host of the bare client. A request with headers receives a reply with headers.

use std::pin::pin;

use async_nats::service::ServiceExt;
use async_nats::service::endpoint::Endpoint;
use async_nats::{Client, HeaderMap, HeaderValue, Message, Subject};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh::InstanceId;
use openagentmesh::protocol::{ChunkHeaders, ReplyHeaders, Status, header};

use super::{
    CHUNKS, ECHO, Headers, Order, RELAY, SERVICE_ECHO, SOURCE, json_body, request_headers, sink,
};
use crate::error::Result;
use crate::roles::tokens;

/// Serves until the connection is lost: one task per subject, request after request.
pub(in crate::roles) async fn serve(url: &str) -> Result<impl Future<Output = Result<()>>> {
    let client = async_nats::connect(url).await?;
    let host = Host {
        client: client.clone(),
        instance_id: InstanceId::random(),
    };
    let service = client.service_builder().start("bench", "1.0.0").await?;
    let service_echo = service.endpoint(SERVICE_ECHO).await?;
    let mut echo = client.subscribe(ECHO).await?;
    let mut relay = client.subscribe(RELAY).await?;
    let mut many = client.subscribe(format!("{CHUNKS}.*")).await?;
    let counting = sink::serve(client.clone()).await?;
    client.flush().await?;
    let echoing = {
        let host = host.clone();
        async move {
            while let Some(request) = echo.next().await {
                host.reply(request).await?;
            }
            Result::Ok(())
        }
    };
    let relaying = {
        let host = host.clone();
        async move {
            while let Some(request) = relay.next().await {
                host.relay(request).await?;
            }
            Result::Ok(())
        }
    };
    let streaming = {
        let host = host.clone();
        async move {
            while let Some(request) = many.next().await {
                host.publish_many(request).await?;
            }
            Result::Ok(())
        }
    };
    let serving = [
        tokio::spawn(echoing),
        tokio::spawn(relaying),
        tokio::spawn(streaming),
        tokio::spawn(counting),
        tokio::spawn(host.serve(service_echo)),
    ];
    Ok(async move {
        let _service = service;
        for ended in serving {
            ended.await??;
        }
        Err("connection lost".into())
    })
}

#[derive(Clone)]
struct Host {
    client: Client,
    instance_id: InstanceId,
}

impl Host {
    async fn reply(&self, request: Message) -> Result<()> {
        let reply = request.reply.ok_or("the request has no reply subject")?;
        match request.headers {
            Some(headers) => {
                let answer = self.reply_headers(&headers);
                let published = self
                    .client
                    .publish_with_headers(reply, answer, request.payload);
                published.await?;
            }
            None => self.client.publish(reply, request.payload).await?,
        }
        Ok(())
    }

    /// Serves the echo as an endpoint of the service API.
    async fn serve(self, mut endpoint: Endpoint) -> Result<()> {
        while let Some(request) = endpoint.next().await {
            let headers = request.message.headers.as_ref();
            let answer = self.reply_headers(headers.ok_or("the request has no headers")?);
            let body = request.message.payload.clone();
            request.respond_with_headers(Ok(body), answer).await?;
        }
        Ok(())
    }

    /// Requests the body from the echo.
    async fn relay(&self, request: Message) -> Result<()> {
        let reply = request.reply.ok_or("the request has no reply subject")?;
        match request.headers {
            Some(headers) => {
                let next = request_headers(&self.instance_id);
                let asked = self
                    .client
                    .request_with_headers(ECHO, next, request.payload);
                let given = asked.await?;
                let answer = self.reply_headers(&headers);
                let published = self
                    .client
                    .publish_with_headers(reply, answer, given.payload);
                published.await?;
            }
            None => {
                let given = self.client.request(ECHO, request.payload).await?;
                self.client.publish(reply, given.payload).await?;
            }
        }
        Ok(())
    }

    /// Publishes the requested messages to the reply subject: chunks of a stream, or events, which have
    /// other headers.
    async fn publish_many(&self, request: Message) -> Result<()> {
        let order: Order = serde_json::from_slice(&request.payload)?;
        let publishing = Publishing {
            host: self,
            subject: request.reply.ok_or("the request has no reply subject")?,
            headers: request.headers.as_ref(),
            signal_subject: self.client.new_inbox().into(),
        };
        match order {
            Order::Bodies(count, size) => {
                let body = json_body(size);
                for seq in 0..count {
                    publishing.publish(seq, body.clone()).await?;
                }
            }
            Order::Tokens(count) => {
                let mut times = pin!(tokens::times(count).enumerate());
                while let Some((seq, time)) = times.next().await {
                    let body = Bytes::from(time.to_string());
                    publishing.publish(u32::try_from(seq)?, body).await?;
                }
            }
        }
        Ok(())
    }

    /// The headers of the reply to a request with the headers `request`.
    fn reply_headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut answer = Headers::default();
        ReplyHeaders {
            status: Status::Ok,
            source: Some(SOURCE),
            request_id: request_id(request),
            instance_id: Some(self.instance_id.as_str()),
            usage: None,
        }
        .write(&mut answer);
        answer.0
    }
}

/// The messages that one request asks for.
struct Publishing<'r> {
    host: &'r Host,
    subject: Subject,
    /// The headers of the request. Without any, the messages have none.
    headers: Option<&'r HeaderMap>,
    /// Each chunk carries a reply subject, as in this SDK: consumers send their signals there.
    signal_subject: Subject,
}

impl Publishing<'_> {
    async fn publish(&self, seq: u32, body: Bytes) -> Result<()> {
        let client = &self.host.client;
        let subject = self.subject.clone();
        let Some(request) = self.headers else {
            return Ok(client.publish(subject, body).await?);
        };
        let request_id = request_id(request);
        let mut headers = Headers::default();
        ChunkHeaders {
            seq: Some(seq.into()),
            request_id,
            instance_id: Some(self.host.instance_id.as_str()),
            ..ChunkHeaders::default()
        }
        .write(&mut headers);
        if request_id.is_some() {
            let signal_subject = self.signal_subject.clone();
            let published =
                client.publish_with_reply_and_headers(subject, signal_subject, headers.0, body);
            published.await?;
        } else {
            let published = client.publish_with_headers(subject, headers.0, body);
            published.await?;
        }
        Ok(())
    }
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::REQUEST_ID).map(HeaderValue::as_str)
}
