//! Judges replies and errors.

use async_nats::Message;
use openagentmesh_protocol::{InstanceId, header};
use serde_json::Value;

use super::exchange::{Host, Observed, error_object, is_error};
use crate::rules::{calls, errors, streams};
use crate::schema;
use crate::wire::{header as header_of, header_names};

/// A header of the protocol in another spelling.
pub(crate) fn misspelled(message: &Message) -> Option<&str> {
    let is_misspelled = |found: &&str| {
        header::X_MESH
            .iter()
            .any(|name| found.eq_ignore_ascii_case(name) && found != name)
    };
    header_names(message).find(is_misspelled)
}

/// The value of a header for a reason.
pub(crate) fn shown(value: Option<&str>) -> String {
    value.map_or("nothing".to_owned(), |value| format!("'{value}'"))
}

impl Host<'_> {
    /// Judges the header `name`, which must be `expected`.
    pub(crate) fn expect_header(
        &self,
        message: &Message,
        name: &str,
        expected: &str,
    ) -> Result<(), String> {
        match header_of(message, name) {
            Some(value) if value == expected => Ok(()),
            value => Err(format!(
                "wrong {name}: expected '{expected}', got {}",
                shown(value)
            )),
        }
    }

    /// Judges an output, of an agent with `schema` for its outputs.
    pub(crate) fn judge_output(&self, observed: &Observed, schema: Option<&Value>) {
        let (verdicts, id) = (self.verdicts, &observed.id);
        let Some(reply) = observed.output() else {
            return;
        };
        let expect = |name, expected| self.expect_header(reply, name, expected);
        let spelling = misspelled(reply);
        // A misspelled header fails one rule, not all.
        if spelling.is_none() {
            verdicts.judge(calls::STATUS, expect(header::STATUS, "ok"));
            verdicts.judge(calls::REQUEST_ID, expect(header::REQUEST_ID, id));
            verdicts.judge(calls::SOURCE, expect(header::SOURCE, self.name.as_str()));
            verdicts.judge(calls::INSTANCE, instance_id(reply));
        }
        verdicts.judge(
            calls::SPELLING,
            spelling.map_or(Ok(()), |name| Err(format!("misspelled header: '{name}'"))),
        );
        let several = format!("several replies: {} arrived", observed.replies.len());
        verdicts.require(calls::ONCE, observed.replies.len() == 1, several);
        match serde_json::from_slice::<Value>(&reply.payload) {
            Err(error) => verdicts.fail(calls::BODY, format!("invalid JSON: {error}")),
            Ok(output) => {
                verdicts.pass(calls::BODY);
                match schema {
                    None => verdicts.skip(calls::OUTPUT, "the contract has no output schema"),
                    Some(schema) => {
                        let violation = schema::violation(schema, &output);
                        // A handler without an output is answered with {}.
                        let is_nothing = output == serde_json::json!({})
                            && schema::violation(schema, &Value::Null).is_none();
                        let violation = violation.filter(|_| !is_nothing);
                        let invalid = |at| Err(format!("invalid output: {at}"));
                        verdicts.judge(calls::OUTPUT, violation.map_or(Ok(()), invalid));
                    }
                }
            }
        }
    }

    /// Judges the first error of an exchange, and its dead letter.
    pub(crate) fn judge_error(&self, observed: &Observed) {
        let verdicts = self.verdicts;
        let Some(error) = observed.error() else {
            return;
        };
        let is_chunk = observed.replies.is_empty();
        let expect = |name, expected| self.expect_header(error, name, expected);
        let headers =
            expect(header::STATUS, "error").and_then(|()| expect(header::REQUEST_ID, &observed.id));
        verdicts.judge(errors::HEADERS, headers);
        let source = header_of(error, header::SOURCE);
        verdicts.require(
            errors::NO_SOURCE,
            source.is_none(),
            format!("unexpected header: {} is {}", header::SOURCE, shown(source)),
        );
        if is_chunk {
            let numbered = header_of(error, header::STREAM_SEQ).is_some();
            let verdict = expect(header::STREAM_END, "true");
            let verdict = verdict.and_then(|()| match numbered {
                true => Err(format!(
                    "unexpected header: the error has {}",
                    header::STREAM_SEQ
                )),
                false => Ok(()),
            });
            verdicts.judge(streams::STREAM_ERROR, verdict);
        }
        let Some(object) = error_object(error) else {
            return verdicts.fail(errors::OBJECT, "invalid body: expected a JSON object");
        };
        let wrong = ["code", "message", "agent", "request_id"]
            .into_iter()
            .find(|field| !object[*field].is_string());
        let wrong = wrong.or((!object["details"].is_object()).then_some("details"));
        let missing = |field| {
            Err(format!(
                "invalid error object: field '{field}' is missing or has another type"
            ))
        };
        verdicts.judge(errors::OBJECT, wrong.map_or(Ok(()), missing));
        let field = |name: &str, expected: &str| match object[name].as_str() {
            Some(value) if value != expected => Err(format!(
                "wrong field '{name}': expected '{expected}', got '{value}'"
            )),
            _ => Ok(()),
        };
        verdicts.judge(errors::AGENT, field("agent", self.name.as_str()));
        verdicts.judge(errors::ERROR_ID, field("request_id", &observed.id));
        let verdict = match observed.letters.as_slice() {
            [] => Err("no dead letter: none arrived".to_owned()),
            [letter, ..] if letter.payload != error.payload => {
                Err("wrong dead letter: its body is not that of the error".to_owned())
            }
            [letter, ..] if !is_error(letter) || header_of(letter, header::STATUS).is_none() => {
                Err("wrong dead letter: it has no status".to_owned())
            }
            _ => Ok(()),
        };
        verdicts.judge(errors::DEAD_LETTER, verdict);
    }
}

/// Whether the message names its instance.
pub(crate) fn instance_id(message: &Message) -> Result<(), String> {
    match header_of(message, header::INSTANCE_ID).map(InstanceId::parse) {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("missing header: {}", header::INSTANCE_ID)),
    }
}
