//! The content of messages and files.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::measure::BodySize;

/// The quantity of every order.
pub(super) const QUANTITY: u32 = 12;

/// The bodies of all contenders as JSON, created once: their creation is not measured.
static BODIES: LazyLock<[String; BodySize::ALL.len()]> = LazyLock::new(|| {
    BodySize::ALL.map(|size| {
        let text = "x".repeat(size.bytes() - "\"\"".len());
        format!("\"{text}\"")
    })
});

/// The body as a text.
pub(super) fn body(size: BodySize) -> &'static str {
    json_body(size).trim_matches('"')
}

/// The body as JSON.
pub(super) fn json_body(size: BodySize) -> &'static str {
    &BODIES[size as usize]
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
