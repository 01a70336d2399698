//! Checks that hosts share the requests of an agent.

use std::collections::HashSet;

use async_nats::Message;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::select_all;
use openagentmesh_protocol::subject::may_reply_to;
use openagentmesh_protocol::{ErrorCode, ErrorObject, header, subject};
use tokio::time::{Instant, timeout_at};

use super::exchange::{Ask, Host};
use crate::error::Error;
use crate::rules::calls::QUEUE_GROUP;
use crate::wire::{Outgoing, header as header_of};

/// The server gives each request to a random member of the group. All go to one of two with a probability of 2^-31.
const REQUESTS: usize = 32;

/// Joins the queue group for some requests, each of which must arrive either here or at the host.
pub(super) async fn check(host: Host<'_>, is_stream: bool) -> Result<(), Error> {
    let failed = |error: async_nats::SubscribeError| Error::Message(error.to_string());
    let (mesh, client) = (host.mesh, &host.mesh.client);
    // With the verb that does not fit, no handler runs.
    let asks: Vec<Ask> = (0..REQUESTS)
        .map(|_| Ask::call(host.name, &Bytes::new()).by(!is_stream))
        .collect();
    let inbox = client.new_inbox();
    let mut answers = vec![
        client
            .subscribe(inbox.clone())
            .await
            .map_err(failed)?
            .boxed(),
    ];
    for ask in asks.iter().filter(|_| !is_stream) {
        let chunks = client
            .subscribe(format!("mesh.stream.{}", ask.id))
            .await
            .map_err(failed)?;
        answers.push(chunks.boxed());
    }
    let mut answers = select_all(answers);
    let group = subject::queue_group(host.name);
    let own = client
        .queue_subscribe(subject::agent(host.name), group)
        .await;
    let mut own = own.map_err(failed)?;
    mesh.settle().await?;
    let ids: HashSet<&str> = asks.iter().map(|ask| ask.id.as_str()).collect();
    for ask in &asks {
        mesh.send(ask.message.clone().reply(inbox.clone())).await?;
    }
    let (mut here, mut there) = (HashSet::new(), HashSet::new());
    let end = Instant::now() + host.settings.answer_timeout;
    let mut deadline = end;
    loop {
        tokio::select! {
            request = timeout_at(deadline, own.next()) => {
                let Ok(Some(request)) = request else { break };
                match header_of(&request, header::REQUEST_ID).filter(|id| ids.contains(id)) {
                    Some(id) => drop(here.insert(id.to_owned())),
                    None => give_back(host, &request).await?,
                }
            }
            answer = timeout_at(deadline, answers.next()) => {
                let Ok(Some(answer)) = answer else { break };
                let id = header_of(&answer, header::REQUEST_ID).filter(|id| ids.contains(id));
                there.extend(id.map(str::to_owned));
            }
        }
        if here.len() + there.len() >= REQUESTS {
            deadline = deadline.min(Instant::now() + host.settings.quiet_time);
        }
    }
    // The requests that the server has sent here until now are not lost.
    drop(own.unsubscribe().await);
    while let Some(request) = own.next().await {
        if header_of(&request, header::REQUEST_ID).is_none_or(|id| !ids.contains(id)) {
            give_back(host, &request).await?;
        }
    }
    let twice = here.intersection(&there).count();
    if here.is_empty() || there.is_empty() {
        let reason = format!(
            "of {REQUESTS} requests, {} were answered by the host",
            there.len()
        );
        host.verdicts.skip(QUEUE_GROUP, reason);
    } else {
        let group = subject::queue_group(host.name);
        let reason = format!(
            "requests delivered twice: {twice} of {REQUESTS} also reached a member of '{group}'"
        );
        host.verdicts.require(QUEUE_GROUP, twice == 0, reason);
    }
    Ok(())
}

/// Answers the request of another caller.
async fn give_back(host: Host<'_>, request: &Message) -> Result<(), Error> {
    let Some(reply) = request.reply.as_deref().filter(|reply| may_reply_to(reply)) else {
        return Ok(());
    };
    let id = header_of(request, header::REQUEST_ID).unwrap_or_default();
    let error = ErrorObject {
        code: ErrorCode::NotAvailable,
        message: "the host is being checked by the conformance kit; try again".to_owned(),
        agent: host.name.to_string(),
        request_id: id.to_owned(),
        details: serde_json::Map::new(),
    };
    let message = Outgoing::to(reply).header(header::STATUS, "error");
    let message = message.header(header::REQUEST_ID, id);
    host.mesh
        .send(message.body(serde_json::json!(error).to_string()))
        .await
}
