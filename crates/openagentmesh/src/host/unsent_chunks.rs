//! The chunks that leave in the next message of a stream.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// Chunks that have credit and are not sent. A consumer that does not take several chunks in a message gets one at a time.
pub(super) struct UnsentChunks {
    /// One a line, with a line break between them.
    lines: BytesMut,
    /// The only chunk, which is not copied.
    single: Option<Bytes>,
    count: u32,
    /// The maximum size of several chunks in bytes; `None` for one chunk a message.
    limit: Option<usize>,
}

impl UnsentChunks {
    /// `limit` is the maximum size of several chunks in bytes; `None` for one chunk a message.
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            lines: BytesMut::new(),
            single: None,
            count: 0,
            limit,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether `chunk` can leave in the same message as those that are unsent.
    pub(super) fn fits(&self, chunk: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(limit) = self.limit else {
            return false;
        };
        let size = self.lines.len() + self.single.as_ref().map_or(0, Bytes::len);
        // A chunk with a line break leaves alone. That of a raw agent may have one.
        size + 1 + chunk.len() <= limit
            && self.single.as_deref().is_none_or(is_line)
            && is_line(chunk)
    }

    /// Adds a chunk that [fits](Self::fits).
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.count += 1;
        if self.count == 1 {
            self.single = Some(chunk);
            return;
        }
        if let Some(first) = self.single.take() {
            self.lines.extend_from_slice(&first);
        }
        self.lines.extend_from_slice(b"\n");
        self.lines.extend_from_slice(&chunk);
    }

    /// Takes the body of the next message, and the number of its chunks; `None` if there are no chunks.
    pub(super) fn take(&mut self) -> Option<(Bytes, NonZeroU32)> {
        let count = NonZeroU32::new(std::mem::take(&mut self.count))?;
        let body = match self.single.take() {
            Some(chunk) => chunk,
            None => self.lines.split().freeze(),
        };
        Some((body, count))
    }
}

fn is_line(chunk: &[u8]) -> bool {
    memchr(b'\n', chunk).is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The messages of `chunks`.
    fn messages(limit: Option<usize>, chunks: &[&'static str]) -> Vec<(Bytes, u32)> {
        let mut unsent = UnsentChunks::new(limit);
        let mut messages = Vec::new();
        for chunk in chunks {
            if !unsent.fits(chunk.as_bytes()) {
                messages.extend(unsent.take());
            }
            unsent.push(Bytes::from_static(chunk.as_bytes()));
        }
        messages.extend(unsent.take());
        assert!(unsent.is_empty() && unsent.take().is_none());
        let messages = messages.into_iter();
        messages.map(|(body, count)| (body, count.get())).collect()
    }

    #[test]
    fn chunks_are_lines_up_to_the_limit() {
        let all = messages(Some(8), &["1", "22", "333", "4444", "a long chunk", ""]);
        let expected = [("1\n22\n333", 3), ("4444", 1), ("a long chunk", 1), ("", 1)];
        assert_eq!(
            all,
            expected.map(|(body, count)| (Bytes::from(body), count))
        );
    }

    #[test]
    fn chunk_with_a_line_break_leaves_alone() {
        let all = messages(Some(100), &["1", "2\n2", "3", "4"]);
        let expected = [("1", 1), ("2\n2", 1), ("3\n4", 2)];
        assert_eq!(
            all,
            expected.map(|(body, count)| (Bytes::from(body), count))
        );
    }

    #[test]
    fn consumer_of_single_chunks_gets_one_a_message() {
        assert_eq!(messages(None, &["1", "2"]).len(), 2);
    }
}
