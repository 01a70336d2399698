//! A request whose reply a callback or a handle gets.

use std::pin::pin;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures::StreamExt;
use openagentmesh_protocol::envelope::Probe;
use openagentmesh_protocol::{CallerSignal, HeaderSource, RequestHeaders, Verb, header, subject};
use tokio::sync::oneshot;

use super::deadline::Deadline;
use super::local::{self, Pending};
use super::reply;
use super::request::{Checked, Content, Request};
use super::retry::Attempts;
use crate::error::Result;
use crate::transport::{Action, Death, DenialWatch, Received, WatchGuard, answer_probe};

/// A request with its own reply subject, which also receives the host's probes. As long as the subscription
/// exists, the probes show the host that the request is pending.
pub(super) struct PendingCallback {
    pub(super) request: Checked,
    replies: Replies,
    /// Denials of the request and of the subscription.
    denied: DenialWatch,
    deadline: Deadline,
}

/// The origin of a callback's reply.
enum Replies {
    Mesh(Subscriber, Host),
    Local(Pending),
}

/// The host of a request, as its probes name it.
struct Host {
    guard: WatchGuard,
    death: oneshot::Receiver<Death>,
}

impl PendingCallback {
    pub(super) async fn send(request: Request, timeout: Duration) -> Result<Self> {
        let deadline = request.deadline(timeout);
        let (mut request, content) = request.check(Verb::Send)?;
        let published = {
            let publishing = pin!(Self::publish(&request, content, deadline));
            deadline
                .bound(&request.name, &request.session().connection, publishing)
                .await
        };
        match published {
            Ok((replies, denied)) => Ok(Self {
                request,
                replies,
                denied,
                deadline,
            }),
            Err(error) => request.interception.finish(Err(error)),
        }
    }

    async fn publish(
        request: &Checked,
        content: Content,
        deadline: Deadline,
    ) -> Result<(Replies, DenialWatch)> {
        if let Some(answers) = &request.session().answers {
            let reply = local::reply(&**answers, request, content, deadline)?;
            let denied = request.session().connection.denials.watch(|_| false);
            return Ok((Replies::Local(reply), denied));
        }
        request.check_verb(Verb::Send).await?;
        let subject = subject::results(&request.id);
        let connection = &request.session().connection;
        let (sent, results) = (request.subject.clone(), subject.clone());
        let denied = connection.denials.watch(move |denial| {
            denial.denies(Action::Publish, &sent) || denial.denies(Action::Subscribe, &results)
        });
        let replies = connection
            .subscribe_once(subject.clone())
            .await
            .map_err(|error| request.about(error))?;
        let (sender, death) = oneshot::channel();
        let hosts = connection.inbox.hosts();
        // The request may end at this moment.
        let guard = hosts.add(request.subject.clone(), |death| drop(sender.send(death)));
        hosts.request_made();
        let headers = RequestHeaders {
            timeout_ms: Some(deadline.milliseconds_left()),
            probe: true,
            ..RequestHeaders::default()
        };
        request.publish(content, Some(subject), headers).await?;
        Ok((Replies::Mesh(replies, Host { guard, death }), denied))
    }

    /// As [`receive`](Self::receive), by further attempts when the request fails.
    pub(super) async fn receive_any(
        &mut self,
        mut attempts: Attempts,
        timeout: Duration,
    ) -> Result<Message> {
        loop {
            let mut failure = match self.receive().await.and_then(reply::accept) {
                Ok(message) => return Ok(message),
                Err(error) => self.request.interception.finish::<()>(Err(error)).err(),
            };
            while let Some(error) = failure {
                attempts.wait(error).await?;
                failure = match Self::send(attempts.next(), timeout).await {
                    Ok(next) => {
                        *self = next;
                        None
                    }
                    Err(error) => Some(error),
                };
            }
        }
    }

    /// Waits for the reply.
    pub(super) async fn receive(&mut self) -> Result<Message> {
        loop {
            let reply = async {
                tokio::select! {
                    biased;
                    reply = self.replies.next(&self.request) => reply,
                    denied = self.denied.denied() => Err(self.request.about(denied)),
                }
            };
            let reply = match tokio::time::timeout_at(self.deadline.at, reply).await {
                Ok(Err(error)) => return Err(error),
                Ok(Ok(reply)) => Ok(reply),
                Err(elapsed) => Err(elapsed),
            };
            match reply {
                Err(_) => {
                    let failed_to = format_args!("did not reply {}", self.deadline);
                    return Err(self.request.timed_out(failed_to));
                }
                Ok(None) => {
                    let connection = &self.request.session().connection;
                    let ended = connection.ended_error("no reply had arrived");
                    return Err(self.request.about(ended));
                }
                Ok(Some(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    return Err(self.request.no_responders().await);
                }
                Ok(Some(message)) => match Probe::read(&Received(message.headers.as_ref())) {
                    Some(probe) => self.answer_probe(probe, message).await,
                    None => return Ok(message),
                },
            }
        }
    }

    /// Answers a host that asks whether the request is still pending, if it expects an answer.
    async fn answer_probe(&mut self, probe: Probe, message: Message) {
        let Replies::Mesh(_, host) = &self.replies else {
            return;
        };
        let headers = Received(message.headers.as_ref());
        host.guard.probed(headers.get(header::INSTANCE_ID));
        if probe == Probe::Question {
            let publisher = &self.request.session().connection.publisher;
            answer_probe(publisher, message.reply, CallerSignal::Waiting).await;
        }
    }
}

impl Replies {
    /// The next reply to `request`, or probe; `None` once the subscription has ended. Cancel-safe.
    async fn next(&mut self, request: &Checked) -> Result<Option<Message>> {
        match self {
            Self::Mesh(subscriber, host) => tokio::select! {
                biased;
                message = subscriber.next() => Ok(message),
                Ok(death) = &mut host.death => Err(request.about(death.to_error(&request.subject))),
            },
            Self::Local(pending) => pending.reply().await.map(Some),
        }
    }
}
