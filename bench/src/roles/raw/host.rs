//! The host of the bare client. A request with headers receives a reply with headers.

use async_nats::service::ServiceExt;
use async_nats::service::endpoint::Endpoint;
use async_nats::{Client, HeaderMap, HeaderValue, Message};
use futures::StreamExt;
use openagentmesh::InstanceId;
use openagentmesh::protocol::{ChunkHeaders, ReplyHeaders, Status, header};

use super::{CHUNKS, ECHO, Headers, RELAY, SERVICE_ECHO, SOURCE, json_body, request_headers};
use crate::error::Result;
use crate::measure::BODY_BYTES;

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

    /// Publishes the requested number of bodies to the reply subject: chunks of a stream, or events,
    /// which have other headers.
    async fn publish_many(&self, request: Message) -> Result<()> {
        let subject = request.reply.ok_or("the request has no reply subject")?;
        let count: u64 = serde_json::from_slice(&request.payload)?;
        let body = json_body(BODY_BYTES);
        let Some(headers) = request.headers else {
            for _ in 0..count {
                let (subject, body) = (subject.clone(), body.clone());
                self.client.publish(subject, body).await?;
            }
            return Ok(());
        };
        let request_id = request_id(&headers);
        // Each chunk carries a reply subject, as in this SDK: consumers send their signals there.
        let signal_subject = async_nats::Subject::from(self.client.new_inbox());
        for seq in 0..count {
            let mut headers = Headers::default();
            ChunkHeaders {
                seq: Some(seq),
                request_id,
                instance_id: Some(self.instance_id.as_str()),
                ..ChunkHeaders::default()
            }
            .write(&mut headers);
            let (subject, body) = (subject.clone(), body.clone());
            match request_id {
                Some(_) => {
                    let signal_subject = signal_subject.clone();
                    let published = self.client.publish_with_reply_and_headers(
                        subject,
                        signal_subject,
                        headers.0,
                        body,
                    );
                    published.await?;
                }
                None => {
                    let published = self.client.publish_with_headers(subject, headers.0, body);
                    published.await?;
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

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::REQUEST_ID).map(HeaderValue::as_str)
}
