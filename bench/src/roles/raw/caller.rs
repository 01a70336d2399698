//! Who calls them.

use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{self, Operation, Store};
use async_nats::{Client, HeaderMap, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh::InstanceId;
use openagentmesh::protocol::{HeaderSink, header};

use super::{BUCKET, CHUNKS, ECHO, EVENTS, Headers, RELAY, json_body, request_headers};
use crate::Result;
use crate::measure::{BODY_BYTES, LARGE_BODY_BYTES};
use crate::roles::caller::{Called, Calls, batches, take_all};

#[derive(Clone)]
pub(in crate::roles) struct Caller {
    client: Client,
    /// The subject that gives back.
    echo: &'static str,
    /// The process, if headers are sent.
    instance_id: Option<InstanceId>,
    values: Store,
    body: Bytes,
    large_body: Bytes,
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
            body: json_body(BODY_BYTES),
            large_body: json_body(LARGE_BODY_BYTES),
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

    /// With a bucket that there is already.
    pub(in crate::roles) async fn keeping_in(mut self, bucket: &str) -> Result<Self> {
        let jetstream = jetstream::new(self.client.clone());
        self.values = jetstream.get_key_value(bucket).await?;
        Ok(self)
    }

    /// The headers of a request, if there are any.
    fn headers(&self) -> Option<HeaderMap> {
        self.instance_id.as_ref().map(request_headers)
    }

    async fn echo(&self, subject: &'static str, body: &Bytes) -> Result<()> {
        let sent = body.clone();
        let reply = match self.headers() {
            Some(headers) => {
                let asked = self.client.request_with_headers(subject, headers, sent);
                asked.await?
            }
            None => self.client.request(subject, sent).await?,
        };
        if reply.payload != *body {
            return Err("another body came back".into());
        }
        Ok(())
    }

    /// Has so many messages published to `subject`, which somebody listens to.
    async fn ask_for(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        messages: u32,
    ) -> Result<()> {
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
        Ok(())
    }
}

/// Takes so many, which are fewer than the client keeps for a slow reader, so that none is dropped.
async fn take(mut subscriber: Subscriber, messages: u32) -> Result<Subscriber> {
    for _ in 0..messages {
        subscriber.next().await.ok_or("the connection was lost")?;
    }
    Ok(subscriber)
}

impl Calls for Caller {
    async fn call(&self, called: Called) -> Result<()> {
        match called {
            Called::Echo => self.echo(self.echo, &self.body).await,
            Called::LargeEcho => self.echo(self.echo, &self.large_body).await,
            Called::Relay => self.echo(RELAY, &self.body).await,
            Called::Order | Called::LimitedOrder => Err("the bare client checks nothing".into()),
        }
    }

    async fn chunks(&self, messages: u32) -> Result<Duration> {
        let started = Instant::now();
        let subject = self.client.new_inbox();
        let mut subscriber = self.client.subscribe(subject.clone()).await?;
        self.ask_for(subject, self.headers(), messages).await?;
        subscriber.next().await.ok_or("the connection was lost")?;
        let first = started.elapsed();
        take(subscriber, messages - 1).await?;
        Ok(first)
    }

    async fn events(&self, messages: u32, subscribers: u32) -> Result<()> {
        // Events have no request, and so no id of one.
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
            let asking = self.ask_for(EVENTS.to_owned(), headers.clone(), batch);
            asking.await?;
            taking = take_all(taking, |subscriber| take(subscriber, batch)).await?;
        }
        Ok(())
    }

    async fn put(&self, key: &str) -> Result<()> {
        self.values.put(key, self.body.clone()).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<()> {
        let value = self.values.get(key).await?.ok_or("there is no value")?;
        if value != self.body {
            return Err("another value came back".into());
        }
        Ok(())
    }

    async fn watch(&self, key: &str, messages: u32) -> Result<Vec<f64>> {
        let mut changes = self.values.watch(key).await?;
        let mut latencies = Vec::with_capacity(messages as usize);
        for _ in 0..messages {
            let started = Instant::now();
            let coming = async {
                let change = changes.next().await.ok_or("the watch ended")??;
                if change.operation == Operation::Put {
                    Ok(started.elapsed())
                } else {
                    Err(format!("there came {change:?}").into())
                }
            };
            let ((), latency) = futures::try_join!(self.put(key), coming)?;
            latencies.push(latency.as_secs_f64());
        }
        Ok(latencies)
    }
}
