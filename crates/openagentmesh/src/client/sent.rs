//! A request that was sent and waits for its single reply.

use std::pin::pin;
use std::time::Duration;

use async_nats::StatusCode;
use openagentmesh_protocol::{RequestHeaders, Verb};
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

impl Sent {
    pub(super) fn send(
        request: Request,
        verb: Verb,
        timeout: Duration,
    ) -> impl Future<Output = Result<Self>> {
        let deadline = request.deadline(timeout);
        let checked = request.check(verb);
        async move {
            let (mut request, content) = checked?;
            let published = {
                let publishing = pin!(Self::publish(&request, content, verb, deadline));
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
        }
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "the future of an async function keeps a second copy of its arguments"
    )]
    fn publish(
        request: &Checked,
        content: Content,
        verb: Verb,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Pending>> {
        async move {
            if let Some(answers) = &request.session().answers {
                return local::reply(&**answers, request, content, deadline);
            }
            request.check_verb(verb).await?;
            let inbox = &request.session().connection.inbox;
            let pending = inbox.expect(request.subject.clone(), None).await?;
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

    async fn receive<Out: DeserializeOwned + 'static>(&mut self) -> Result<Out> {
        let reply = match tokio::time::timeout_at(self.deadline.at, self.pending.reply()).await {
            Ok(reply) => reply.map_err(|error| self.request.about(error))?,
            Err(_) => return Err(self.timed_out()),
        };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(self.request.no_responders().await);
        }
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
