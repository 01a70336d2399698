//! Reading single messages of a bucket.

use std::future::ready;
use std::sync::Arc;

use openagentmesh_protocol::ErrorCode;

use super::access::Access;
use super::bucket::Bucket;
use super::direct_get;
use super::handle::Handle;
use super::stored_message::{self, Find, StoredMessage};
use crate::error::{BoxError, Error, Result};

/// The request for one message, whose answer is JSON.
const READ: &str = "STREAM.MSG.GET";

impl<H: Handle> Bucket<H> {
    /// The name of the stream that stores the bucket.
    pub(crate) fn stream_name(&self) -> String {
        [H::STREAM_PREFIX, self.name()].concat()
    }

    /// Whether the server has denied `request` for this bucket on this connection; see
    /// [`Denials::is_request_denied`](crate::transport::Denials::is_request_denied).
    pub(crate) fn is_request_denied(&self, request: &str) -> bool {
        let denials = &self.connection().denials;
        denials.is_request_denied(request, &self.stream_name())
    }

    /// Reads one message, whatever its headers are. Where the server does not permit that, the last message of a subject
    /// is read directly if the bucket allows it: the permission for it may be one for single subjects.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `connection_denied` when it does not permit the read,
    /// `storage_error` when the message cannot be read.
    pub(crate) async fn message(
        &self,
        verb: &str,
        find: Find<'_>,
    ) -> Result<Option<StoredMessage>> {
        loop {
            let was_denied = self.is_request_denied(READ);
            if was_denied
                && let Find::Last(subject) = find
                && self.allows_direct(verb).await?
            {
                let found = self.direct_last(verb, subject, || true).await?;
                return Ok(found.flatten());
            }
            let read = |_| self.find(find);
            match self.try_with(verb, Access::Read, read).await {
                Err(error) if !was_denied && is_denied(&error) && self.is_request_denied(READ) => {}
                done => return done,
            }
        }
    }

    /// Whether `filter` matches a known message on which the client loses its connection, and which is still stored; `false`
    /// for a user who may not read single messages.
    ///
    /// # Errors
    ///
    /// Those of [`message`](Self::message), except `connection_denied`.
    pub(super) async fn has_unreadable(&self, filter: &str) -> Result<bool> {
        match self.find_unreadable(filter).await {
            Err(error) if is_denied(&error) => Ok(false),
            found => found,
        }
    }

    async fn find_unreadable(&self, filter: &str) -> Result<bool> {
        for from in self.unreadable.sequences() {
            let matching = self.message("read", Find::Next { filter, from }).await?;
            let is_same = |found: &StoredMessage| found.sequence == from && found.is_suspect;
            if matching.as_ref().is_some_and(is_same) {
                return Ok(true);
            }
            let stored = self.message("read", Find::Sequence(from)).await?;
            if !stored.as_ref().is_some_and(is_same) {
                self.unreadable.remove(from);
            }
        }
        Ok(false)
    }

    /// As [`message`](Self::message), within an operation.
    pub(super) async fn find(&self, find: Find<'_>) -> Result<Option<StoredMessage>, BoxError> {
        stored_message::find(&self.jetstream(), &self.stream_name(), find).await
    }

    /// Whether messages of this bucket can be read directly.
    async fn allows_direct(&self, verb: &str) -> Result<bool> {
        let allows = |handle: Arc<H>| {
            let config = &handle.stream().cached_info().config;
            ready(Ok::<_, BoxError>(config.allow_direct))
        };
        self.try_with(verb, Access::Open, allows).await
    }

    /// Reads the last message of `subject` directly, as long as `may_read` holds: it is asked before each attempt, which
    /// follows the loss of the connection. `None` once it does not.
    pub(super) async fn direct_last(
        &self,
        verb: &str,
        subject: &str,
        may_read: impl Fn() -> bool,
    ) -> Result<Option<Option<StoredMessage>>> {
        let request = direct_get::last_subject(&self.stream_name(), subject);
        let read = |_| {
            let (client, request) = (self.connection().client(), request.clone());
            let may_read = may_read();
            async move {
                match may_read {
                    true => direct_get::last(&client, request).await.map(Some),
                    false => Ok(None),
                }
            }
        };
        let access = Access::Direct(request.clone());
        self.try_with(verb, access, read).await
    }
}

/// Whether the server does not permit an operation.
pub(super) fn is_denied(error: &Error) -> bool {
    error.code() == &ErrorCode::ConnectionDenied
}
