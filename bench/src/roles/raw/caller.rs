//! The caller of the bare client.

use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{self, Operation, Store};
use async_nats::{Client, HeaderMap, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh::InstanceId;
use openagentmesh::protocol::{ContentType, HeaderSink, header};

use super::{
    BUCKET, CHUNKS, ECHO, EVENTS, Headers, Order, RELAY, SINK, json_body, request_headers,
};
use crate::error::Result;
use crate::measure::BodySize;
use crate::roles::calls::{Callee, Calls, batches, take_all};
use crate::roles::tokens;

#[derive(Clone)]
pub(in crate::roles) struct Caller {
    client: Client,
    /// The subject of the echo.
    echo: &'static str,
    /// The id of the calling process, if headers are sent.
    instance_id: Option<InstanceId>,
    values: Store,
}

impl Caller {
    pub(in crate::roles) async fn connect(url: &str) -> Result<Self> {
        let client = async_nats::connect(url).await?;
        let bucket = kv::Config {
            bucket: BUCKET.to_owned(),
            ..kv::Config::default()
        };
        let jetstream = jetstream::new(client.clone());
        Ok(Self {
            values: jetstream.create_key_value(bucket).await?,
            client,
            echo: ECHO,
            instance_id: None,
        })
    }

    pub(in crate::roles) fn with_headers(mut self) -> Self {
        self.instance_id = Some(InstanceId::random());
        self
    }

    pub(in crate::roles) fn calling(mut self, echo: &'static str) -> Self {
        self.echo = echo;
        self
    }

    /// With an existing bucket.
    pub(in crate::roles) async fn with_bucket(mut self, bucket: &str) -> Result<Self> {
        let jetstream = jetstream::new(self.client.clone());
        self.values = jetstream.get_key_value(bucket).await?;
        Ok(self)
    }

    /// The headers of a request, if headers are sent.
    fn headers(&self) -> Option<HeaderMap> {
        self.instance_id.as_ref().map(request_headers)
    }

    async fn echo(&self, subject: &'static str, size: BodySize) -> Result<()> {
        let body = json_body(size);
        let sent = body.clone();
        let reply = match self.headers() {
            Some(headers) => {
                let asked = self.client.request_with_headers(subject, headers, sent);
                asked.await?
            }
            None => self.client.request(subject, sent).await?,
        };
        if reply.payload != body {
            return Err("the reply differs from the body".into());
        }
        Ok(())
    }

    /// The headers of an event of the caller, if headers are sent.
    fn event_headers(&self) -> Option<HeaderMap> {
        self.instance_id.as_ref().map(|instance_id| {
            let mut headers = Headers::default();
            headers.put(header::CONTENT_TYPE, ContentType::Bytes.as_str());
            headers.put(header::INSTANCE_ID, instance_id.as_str());
            headers.0
        })
    }

    /// The messages of `order`.
    pub(in crate::roles) async fn order(&self, order: &Order) -> Result<Subscriber> {
        let subject = self.client.new_inbox();
        let subscriber = self.client.subscribe(subject.clone()).await?;
        self.request_many(subject, self.headers(), order).await?;
        Ok(subscriber)
    }

    /// Requests messages to `subject`.
    async fn request_many(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        order: &Order,
    ) -> Result<()> {
        let body = Bytes::from(serde_json::to_vec(order)?);
        let to = format!("{CHUNKS}.{}", order.messages());
        match headers {
            Some(headers) => {
                let asked = self
                    .client
                    .publish_with_reply_and_headers(to, subject, headers, body);
                asked.await?;
            }
            None => self.client.publish_with_reply(to, subject, body).await?,
        }
        Ok(())
    }
}

/// Receives `messages` messages: fewer than the client buffers for a slow reader, so that none is
/// dropped.
async fn take(mut subscriber: Subscriber, messages: u32) -> Result<Subscriber> {
    for _ in 0..messages {
        subscriber.next().await.ok_or("connection lost")?;
    }
    Ok(subscriber)
}

impl Calls for Caller {
    async fn call(&self, callee: Callee) -> Result<()> {
        match callee {
            Callee::Echo(size) => self.echo(self.echo, size).await,
            Callee::Relay => self.echo(RELAY, BodySize::Standard).await,
            Callee::Order | Callee::LimitedOrder => Err("the bare client has no validation".into()),
        }
    }

    async fn chunks(&self, size: BodySize, messages: u32) -> Result<Duration> {
        let started = Instant::now();
        let order = Order::Bodies(messages, size);
        let mut subscriber = self.order(&order).await?;
        subscriber.next().await.ok_or("connection lost")?;
        let first = started.elapsed();
        take(subscriber, messages - 1).await?;
        Ok(first)
    }

    async fn tokens(&self, messages: u32) -> Result<Vec<f64>> {
        let mut latencies = Vec::with_capacity(messages as usize);
        let mut subscriber = self.order(&Order::Tokens(messages)).await?;
        for _ in 0..messages {
            let message = subscriber.next().await.ok_or("connection lost")?;
            let created = serde_json::from_slice(&message.payload)?;
            latencies.push(tokens::seconds_since(created));
        }
        Ok(latencies)
    }

    async fn publish(&self, messages: u32) -> Result<()> {
        for _ in 0..messages {
            let body = json_body(BodySize::Medium);
            match self.event_headers() {
                Some(headers) => {
                    let published = self.client.publish_with_headers(SINK, headers, body);
                    published.await?;
                }
                None => self.client.publish(SINK, body).await?,
            }
        }
        Ok(())
    }

    async fn events(&self, messages: u32, subscribers: u32) -> Result<()> {
        // An event has no request id.
        let headers = self.instance_id.as_ref().map(|instance_id| {
            let mut headers = Headers::default();
            headers.put(header::INSTANCE_ID, instance_id.as_str());
            headers.0
        });
        let mut taking = Vec::new();
        for _ in 0..subscribers {
            taking.push(self.client.subscribe(EVENTS).await?);
        }
        for batch in batches(messages) {
            let order = Order::Bodies(batch, BodySize::Standard);
            let requested = self.request_many(EVENTS.to_owned(), headers.clone(), &order);
            requested.await?;
            taking = take_all(taking, |subscriber| take(subscriber, batch)).await?;
        }
        Ok(())
    }

    async fn put(&self, key: &str) -> Result<()> {
        let body = json_body(BodySize::Standard);
        self.values.put(key, body).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<()> {
        let value = self.values.get(key).await?.ok_or("the key has no value")?;
        if value != json_body(BodySize::Standard) {
            return Err("the value differs from the body".into());
        }
        Ok(())
    }

    async fn watch(&self, key: &str, messages: u32) -> Result<Vec<f64>> {
        let mut changes = self.values.watch(key).await?;
        let mut latencies = Vec::with_capacity(messages as usize);
        for _ in 0..messages {
            let started = Instant::now();
            let delivered = async {
                let change = changes.next().await.ok_or("the watch ended")??;
                if change.operation == Operation::Put {
                    Ok(started.elapsed())
                } else {
                    Err(format!("unexpected change {change:?}").into())
                }
            };
            let ((), latency) = futures::try_join!(self.put(key), delivered)?;
            latencies.push(latency.as_secs_f64());
        }
        Ok(latencies)
    }
}
