//! The content of messages and files.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::measure::BODY_BYTES;

/// The quantity of every order.
pub(super) const QUANTITY: u32 = 12;

/// The body of all contenders, created once: its creation is not measured.
static BODY: LazyLock<String> = LazyLock::new(|| body_of(BODY_BYTES));

pub(super) fn body() -> &'static str {
    &BODY
}

/// A text of `bytes` bytes as JSON.
pub(super) fn body_of(bytes: usize) -> String {
    "x".repeat(bytes - "\"\"".len())
}

/// Bytes without repetition.
pub(crate) fn noise(bytes: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes + size_of::<u64>());
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise.into()
}
