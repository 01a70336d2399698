//! What is called, streamed and subscribed to. Whoever asks with headers is answered with headers.

use async_nats::service::ServiceExt;
use async_nats::service::endpoint::Endpoint;
use async_nats::{Client, HeaderMap, HeaderValue, Message};
use futures::StreamExt;
use openagentmesh::InstanceId;
use openagentmesh::protocol::{ChunkHeaders, ReplyHeaders, Status, header};

use super::{CHUNKS, ECHO, Headers, RELAY, SERVICE_ECHO, json_body, request_headers};
use crate::Result;
use crate::measure::BODY_BYTES;

/// Serves until the connection is lost: each subject in a task of its own, request after request.
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
                host.give_back(request).await?;
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
                host.give_many(request).await?;
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
        Err("the connection was lost".into())
    })
}

#[derive(Clone)]
struct Host {
    client: Client,
    instance_id: InstanceId,
}

impl Host {
    async fn give_back(&self, request: Message) -> Result<()> {
        let reply = request.reply.ok_or("a request without a reply subject")?;
        match request.headers {
            Some(headers) => {
                let answer = self.reply_headers(ECHO, &headers);
                let published = self
                    .client
                    .publish_with_headers(reply, answer, request.payload);
                published.await?;
            }
            None => self.client.publish(reply, request.payload).await?,
        }
        Ok(())
    }

    /// The same as an endpoint of the service API.
    async fn serve(self, mut endpoint: Endpoint) -> Result<()> {
        while let Some(request) = endpoint.next().await {
            let headers = request.message.headers.as_ref();
            let answer = self.reply_headers(ECHO, headers.ok_or("a request without headers")?);
            let body = request.message.payload.clone();
            request.respond_with_headers(Ok(body), answer).await?;
        }
        Ok(())
    }

    /// Has the other subject give back the body.
    async fn relay(&self, request: Message) -> Result<()> {
        let reply = request.reply.ok_or("a request without a reply subject")?;
        match request.headers {
            Some(headers) => {
                let next = request_headers(&self.instance_id);
                let asked = self
                    .client
                    .request_with_headers(ECHO, next, request.payload);
                let given = asked.await?;
                let answer = self.reply_headers(RELAY, &headers);
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

    /// Publishes as many bodies as the request says to its reply subject: the chunks of a stream, or
    /// events, which differ in their headers.
    async fn give_many(&self, request: Message) -> Result<()> {
        let subject = request.reply.ok_or("a request without a reply subject")?;
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
        // What a consumer of chunks says comes here, and so does the server's word that it is gone.
        let feedback = async_nats::Subject::from(self.client.new_inbox());
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
                    let feedback = feedback.clone();
                    let published = self
                        .client
                        .publish_with_reply_and_headers(subject, feedback, headers.0, body);
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

    /// The headers of the answer to a request that has these.
    fn reply_headers(&self, source: &str, request: &HeaderMap) -> HeaderMap {
        let mut answer = Headers::default();
        ReplyHeaders {
            status: Status::Ok,
            source: Some(source),
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
