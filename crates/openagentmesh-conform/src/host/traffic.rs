//! The rules of requests that hold for calls and for streams.

use bytes::Bytes;
use openagentmesh_protocol::{RequestId, header};

use super::exchange::{Ask, Host, Observed};
use crate::error::Error;
use crate::report::Outcome;
use crate::rule::Rule;
use crate::rules::calls as rules;

/// The reason to skip the rules of outputs, where no valid input is known.
pub(super) const NO_INPUT: &str =
    "no valid input can be generated from the schema; give one with --input JSON";

impl Host<'_> {
    /// Whether the exchange has an output or a chunk, and no error.
    pub(super) fn is_served(observed: &Observed) -> bool {
        observed.error().is_none() && (observed.output().is_some() || !observed.chunks.is_empty())
    }

    /// Passes where the request was served as any other.
    pub(super) fn expect_served(&self, rule: Rule, observed: &Observed) {
        let reason = format!("not served: {} instead of an output", observed.describe());
        self.verdicts
            .require(rule, Self::is_served(observed), reason);
    }

    /// Checks requests with unusual headers.
    pub(super) async fn check_headers(&self, body: &Bytes, is_stream: bool) -> Result<(), Error> {
        let ask = || Ask::call(self.name, body).by(is_stream);
        let unknown = ask()
            .header("X-Conform-Unknown", "1")
            .header("X-Mesh-Conform", "{}")
            .header(header::IDEMPOTENCY_KEY, "conform")
            .header(
                header::TRACEPARENT,
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .header(header::TIMEOUT_MS, "60000");
        let id = RequestId::random().to_string();
        let mut other_case = Ask::with_id(self.name, body, id.clone()).without_headers();
        other_case = other_case.header("x-mesh-request-id", &id);
        if is_stream {
            other_case = other_case.header("X-MESH-STREAM", "true");
        }
        let token = format!("conform_{}-x", &RequestId::random().as_str()[..8]);
        let opaque = Ask::with_id(self.name, body, token).by(is_stream);
        let invalid = ask().header(header::TIMEOUT_MS, "soon");
        let (unknown, other_case, opaque, invalid) = futures::try_join!(
            self.exchange(unknown),
            self.exchange(other_case),
            self.exchange(opaque),
            self.exchange(invalid),
        )?;
        self.expect_served(rules::UNKNOWN_HEADERS, &unknown);
        self.expect_id(rules::HEADER_CASE, &other_case, is_stream);
        self.expect_id(rules::OPAQUE_ID, &opaque, is_stream);
        let answered = Self::is_served(&invalid) || invalid.error().is_some();
        let reason = format!("no answer to {}: soon", header::TIMEOUT_MS);
        self.verdicts
            .require(rules::INVALID_HEADER, answered, reason);
        Ok(())
    }

    /// Passes where the request was served, and its reply has its id.
    fn expect_id(&self, rule: Rule, observed: &Observed, is_stream: bool) {
        if let (false, Some(Outcome::Failed(_))) = (is_stream, self.verdicts.of(rules::REQUEST_ID))
        {
            return self
                .verdicts
                .skip(rule, "replies have no correct id at all");
        }
        match observed.output() {
            Some(reply) => self.verdicts.judge(
                rule,
                self.expect_header(reply, header::REQUEST_ID, &observed.id),
            ),
            None => self.expect_served(rule, observed),
        }
    }
}
