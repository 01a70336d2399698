//! Judges a request.

use async_nats::Message;
use bytes::Bytes;
use openagentmesh_protocol::subject::may_reply_to;
use openagentmesh_protocol::{AgentName, InstanceId, RequestId, Shape, header, subject};
use serde_json::{Value, json};

use super::agents::Behaviour;
use super::check::Check;
use crate::host::{misspelled, shown};
use crate::rules::requests as rules;
use crate::schema;
use crate::wire::{Outgoing, header as header_of};

/// A request of the caller, as the kit works on it.
pub(super) struct Request {
    pub(super) agent: AgentName,
    pub(super) id: RequestId,
    pub(super) reply: Option<String>,
    pub(super) input: Value,
    /// Whether the caller asks for a stream.
    pub(super) is_stream: bool,
    /// Whether the caller answers probes.
    pub(super) has_probes: bool,
    pub(super) credit: Option<u64>,
}

impl Check<'_> {
    /// Judges the headers and the body; `None` for a request that cannot be answered.
    pub(super) fn judge(&self, behaviour: Behaviour, message: &Message) -> Option<Request> {
        let verdicts = &self.verdicts;
        let given = header_of(message, header::REQUEST_ID);
        if let Some(name) = misspelled(message) {
            verdicts.fail(rules::SPELLING, format!("misspelled header: '{name}'"));
        } else {
            verdicts.pass(rules::SPELLING);
            self.judge_id(given);
            self.judge_instance(message);
            match behaviour.shape() {
                Shape::Streamer => self.judge_stream(message),
                _ => self.judge_call(behaviour, message),
            }
        }
        let input = serde_json::from_slice::<Value>(&message.payload);
        let problem = match (&input, behaviour.input_schema()) {
            (Err(error), _) => Some(format!("invalid body: not JSON: {error}")),
            (Ok(input), Some(schema)) => {
                schema::violation(&schema, input).map(|at| format!("invalid body: {at}"))
            }
            (Ok(_), None) => None,
        };
        verdicts.judge(rules::BODY, problem.map_or(Ok(()), Err));
        let reply = message.reply.as_deref().filter(|reply| may_reply_to(reply));
        Some(Request {
            agent: subject::requested_agent(&message.subject)?,
            id: given
                .and_then(|id| RequestId::parse(id).ok())
                .unwrap_or_else(RequestId::random),
            reply: reply.map(str::to_owned),
            input: input.unwrap_or_default(),
            is_stream: header_of(message, header::STREAM) == Some("true"),
            has_probes: header_of(message, header::PROBE) == Some("true"),
            credit: header_of(message, header::STREAM_CREDIT)
                .and_then(|credit| credit.parse().ok()),
        })
    }

    fn judge_id(&self, given: Option<&str>) {
        let is_hex = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        // A caller with one subscription for all its streams gives them a prefix and a token. The prefix may begin with the
        // token of its user.
        let is_uuid = |id: &str| match *id.split('.').collect::<Vec<_>>().as_slice() {
            [uuid] | [uuid, _] | [_, uuid, _] => is_hex(uuid) && RequestId::parse(id).is_ok(),
            _ => false,
        };
        let reason = format!("invalid {}: got {}", header::REQUEST_ID, shown(given));
        self.verdicts
            .require(rules::ID, given.is_some_and(is_uuid), reason);
        if let Some(id) = given {
            let reason = format!("repeated id: two requests have '{id}'");
            self.verdicts
                .require(rules::UNIQUE, self.is_new_id(id), reason);
        }
    }

    fn judge_instance(&self, message: &Message) {
        let given = header_of(message, header::INSTANCE_ID);
        let verdict = match given.map(InstanceId::parse) {
            None => Err(format!("missing header: {}", header::INSTANCE_ID)),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(id)) if self.is_same_instance(id.as_str()) => Ok(()),
            Some(Ok(_)) => Err(format!(
                "changed {}: two requests have different ones",
                header::INSTANCE_ID
            )),
        };
        self.verdicts.judge(rules::INSTANCE, verdict);
    }

    fn judge_call(&self, behaviour: Behaviour, message: &Message) {
        let verdicts = &self.verdicts;
        let flag = header_of(message, header::STREAM);
        let reason = format!("unexpected {}: a call has {}", header::STREAM, shown(flag));
        verdicts.require(rules::NO_STREAM, flag != Some("true"), reason);
        if behaviour == Behaviour::Note {
            return self.judge_send(message);
        }
        let reply = message.reply.as_deref();
        let verdict = match reply {
            None => Err("missing reply subject: the call has none".to_owned()),
            Some(reply) if !may_reply_to(reply) => {
                Err(format!("reserved reply subject: '{reply}'"))
            }
            Some(_) => Ok(()),
        };
        verdicts.judge(rules::REPLY, verdict);
        let timeout = header_of(message, header::TIMEOUT_MS);
        let is_time = timeout
            .and_then(|timeout| timeout.parse::<u64>().ok())
            .is_some_and(|timeout| timeout > 0);
        verdicts.require(
            rules::TIMEOUT,
            is_time,
            format!("invalid {}: got {}", header::TIMEOUT_MS, shown(timeout)),
        );
        let probe = header_of(message, header::PROBE);
        verdicts.require(
            rules::PROBE,
            probe == Some("true"),
            format!("missing {}: got {}", header::PROBE, shown(probe)),
        );
    }

    fn judge_send(&self, message: &Message) {
        let (reply, named) = (
            message.reply.as_deref(),
            header_of(message, header::REPLY_TO),
        );
        let verdict = match reply {
            None => Err("missing reply subject: the send has none".to_owned()),
            Some(reply) if named == Some(reply) => Ok(()),
            Some(reply) => Err(format!(
                "wrong {}: expected '{reply}', got {}",
                header::REPLY_TO,
                shown(named)
            )),
        };
        self.verdicts.judge(rules::SEND_TO, verdict);
    }

    fn judge_stream(&self, message: &Message) {
        let verdicts = &self.verdicts;
        let flag = header_of(message, header::STREAM);
        let reason = format!(
            "wrong {}: expected 'true', got {}",
            header::STREAM,
            shown(flag)
        );
        verdicts.require(rules::STREAM, flag == Some("true"), reason);
        verdicts.require(
            rules::INBOX,
            message.reply.is_some(),
            "missing reply subject: the request for a stream has none",
        );
        let credit = header_of(message, header::STREAM_CREDIT);
        let is_count = credit
            .and_then(|credit| credit.parse::<u32>().ok())
            .is_some_and(|credit| credit > 0);
        verdicts.require(
            rules::CREDIT,
            is_count,
            format!("invalid {}: got {}", header::STREAM_CREDIT, shown(credit)),
        );
    }

    /// A message with the headers of an output.
    pub(super) fn output(&self, request: &Request, subject: &str, body: &Value) -> Outgoing {
        Outgoing::to(subject)
            .header(header::STATUS, "ok")
            .header(header::SOURCE, request.agent.as_str())
            .header(header::REQUEST_ID, request.id.as_str())
            .header(header::INSTANCE_ID, self.instance.as_str())
            .header("X-Conform-Unknown", "1")
            .body(body.to_string())
    }

    /// A message with the headers and the body of an error.
    pub(super) fn error(&self, request: &Request, subject: &str, code: &str) -> Outgoing {
        let object = json!({
            "code": code, "message": "an error of the conformance kit", "agent": request.agent,
            "request_id": request.id, "details": {},
        });
        Outgoing::to(subject)
            .header(header::STATUS, "error")
            .header(header::REQUEST_ID, request.id.as_str())
            .header(header::INSTANCE_ID, self.instance.as_str())
            .body(Bytes::from(object.to_string()))
    }
}
