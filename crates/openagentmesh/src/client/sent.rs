//! A request that was sent and waits for its single reply.

use std::pin::pin;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use futures::FutureExt;
use futures::future::{Either, ready};
use openagentmesh_protocol::RequestHeaders;
use serde::de::DeserializeOwned;

use super::deadline::Deadline;
use super::local::{self, Pending};
use super::reply;
use super::request::{Checked, Content, Request};
use crate::error::{Error, Result};

/// A request whose reply is pending. If it is dropped before the reply has arrived, the host cancels the
/// request.
pub(super) struct Sent {
    request: Checked,
    pending: Pending,
    deadline: Deadline,
}

/// The subject of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplySubject {
    /// In the inbox of this process.
    Inbox,
    /// Made of the id of the request: where a send has a callback.
    Results,
}

impl Sent {
    pub(super) fn send(
        request: Request,
        reply: ReplySubject,
        timeout: Duration,
    ) -> impl Future<Output = Result<Self>> {
        let deadline = request.deadline(timeout);
        let (mut request, content) = match request.check() {
            Ok(checked) => checked,
            Err(error) => return Either::Left(ready(Err(error))),
        };
        Either::Right(async move {
            let published = {
                let publishing = pin!(Self::publish(&request, content, reply, deadline));
                deadline
                    .bound(&request.name, &request.session().connection, publishing)
                    .await
            };
            match published {
                Ok(pending) => Ok(Self {
                    request,
                    pending,
                    deadline,
                }),
                Err(error) => request.interception.finish(Err(error)),
            }
        })
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "the future of an async function keeps a second copy of its arguments"
    )]
    fn publish(
        request: &Checked,
        content: Content,
        reply: ReplySubject,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Pending>> {
        async move {
            if let Some(answers) = &request.session().answers {
                return local::reply(&**answers, request, content, deadline);
            }
            request.check_verb().await?;
            let (connection, subject) = (&request.session().connection, request.subject.clone());
            let pending = match reply {
                ReplySubject::Inbox => connection.inbox.expect(subject, None).await?,
                // Boxed: it would enlarge the future of every call.
                ReplySubject::Results => {
                    let expected = connection.results.expect_callback(request.number, subject);
                    expected.boxed().await?
                }
            };
            let headers = RequestHeaders {
                timeout_ms: Some(deadline.milliseconds_left()),
                probe: true,
                ..RequestHeaders::default()
            };
            let published = request.publish(content, Some(pending.subject()), headers);
            published.await?;
            Ok(Pending::Mesh(pending))
        }
    }

    /// Waits for the reply and decodes it. Must not be called again after it has returned.
    pub(super) async fn reply<Out: DeserializeOwned + 'static>(&mut self) -> Result<Out> {
        let reply = self.receive().await;
        self.request.interception.finish(reply)
    }

    /// Ends the interceptors of the request with its outcome.
    pub(super) fn finish<T>(&mut self, outcome: Result<T>) -> Result<T> {
        self.request.interception.finish(outcome)
    }

    /// Waits for the message of the reply. Must not be called again after it has returned.
    pub(super) async fn message(&mut self) -> Result<Message> {
        let reply = match tokio::time::timeout_at(self.deadline.at, self.pending.reply()).await {
            Ok(reply) => reply.map_err(|error| self.request.about(error))?,
            Err(_) => return Err(self.timed_out()),
        };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(self.request.no_responders().await);
        }
        Ok(reply)
    }

    async fn receive<Out: DeserializeOwned + 'static>(&mut self) -> Result<Out> {
        let reply = self.message().await?;
        // An error of the agent names its agent and request itself.
        reply::decode(&reply).map_err(|error| match error.request_id() {
            Some(_) => error,
            None => self.request.about(error),
        })
    }

    fn timed_out(&self) -> Error {
        let failed_to = format_args!("did not reply {}", self.deadline);
        self.request.timed_out(failed_to)
    }
}
