//! Several chunks in one message.

use std::num::NonZeroU32;

use bytes::{Buf, Bytes};
use memchr::{memchr, memchr_iter};

/// The chunks of a message that has several, one a line, as far as they are not taken yet.
#[derive(Debug, Default)]
pub(super) struct ChunkBatch {
    /// Their lines, with a line break between them.
    lines: Bytes,
    left: u32,
}

impl ChunkBatch {
    /// The first of the `count` chunks of `body`, and the others. `None` if `body` has not as many lines.
    pub(super) fn split(body: Bytes, count: NonZeroU32) -> Option<(Bytes, Self)> {
        let mut batch = Self {
            left: count.get(),
            lines: body,
        };
        let breaks = memchr_iter(b'\n', &batch.lines).count();
        if u64::try_from(breaks).ok()? != u64::from(batch.left) - 1 {
            return None;
        }
        Some((batch.next()?, batch))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The next chunk.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.left = self.left.checked_sub(1)?;
        let Some(end) = memchr(b'\n', &self.lines) else {
            return Some(std::mem::take(&mut self.lines));
        };
        let chunk = self.lines.split_to(end);
        self.lines.advance(1);
        Some(chunk)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chunks(body: &'static str, count: u32) -> Option<Vec<Bytes>> {
        let body = Bytes::from_static(body.as_bytes());
        let (first, mut rest) = ChunkBatch::split(body, NonZeroU32::new(count).unwrap())?;
        let mut chunks = vec![first];
        chunks.extend(std::iter::from_fn(|| rest.next()));
        Some(chunks)
    }

    #[test]
    fn each_line_is_a_chunk() {
        assert_eq!(chunks("1", 1).unwrap(), ["1"]);
        assert_eq!(
            chunks("1\n\"two\"\n[3]", 3).unwrap(),
            ["1", "\"two\"", "[3]"]
        );
        assert_eq!(chunks("\n\n", 3).unwrap(), ["", "", ""]);
    }

    #[test]
    fn body_with_another_number_of_lines_is_refused() {
        for (body, count) in [
            ("1", 2),
            ("1\n2", 1),
            ("1\n2\n", 2),
            ("", 2),
            ("1\n2", u32::MAX),
        ] {
            assert_eq!(chunks(body, count), None, "{body:?}");
        }
    }
}
