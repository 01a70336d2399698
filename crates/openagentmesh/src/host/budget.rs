//! The budget of all requests of this process together: the memory of waiting inputs, and the turns in which large
//! inputs are decoded and checked.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of an input up to which it is decoded where its request runs, which takes about as long as a change
/// of the thread, and up to which a waiting request is not counted.
pub(super) const MAX_INLINE_BYTES: usize = 128 * 1024;

/// Bytes of an input up to which it is also checked against a schema where its request runs.
pub(super) const MAX_INLINE_CHECKED_BYTES: usize = 16 * 1024;

/// Bytes of all large inputs whose requests are in flight. Further ones are refused with `overloaded`.
const MAX_ADMITTED_BYTES: usize = 256 * 1024 * 1024;

/// One permit for each KiB; never closed.
static ADMITTED: Semaphore = Semaphore::const_new(MAX_ADMITTED_BYTES / KIB);

/// One permit: large inputs are decoded and checked one after another. Never closed.
static DECODING: Semaphore = Semaphore::const_new(1);

const KIB: usize = 1024;

/// The turn of an input to be decoded and checked, until it is dropped.
pub(super) type DecodingTurn = SemaphorePermit<'static>;

/// The memory of a large input whose request is in flight, until it is dropped.
pub(super) type InputShare = SemaphorePermit<'static>;

/// Counts a request of `bytes` that is about to be admitted, its headers included; `None` for a small one, which is not counted.
///
/// # Errors
///
/// The limit in bytes, when the inputs of all requests in flight would exceed it.
pub(super) fn admit(bytes: usize) -> Result<Option<InputShare>, usize> {
    if bytes <= MAX_INLINE_BYTES {
        return Ok(None);
    }
    let share = ADMITTED.try_acquire_many(permits(bytes));
    share.map(Some).map_err(|_| MAX_ADMITTED_BYTES)
}

/// Waits until an input may be decoded and checked; waiting inputs are served in their order. Cancel-safe.
pub(super) async fn decoding_turn() -> DecodingTurn {
    match DECODING.acquire().await {
        Ok(turn) => turn,
        // The semaphore is never closed.
        Err(_) => std::future::pending().await,
    }
}

/// The permits for an input of `bytes`; all of them for one beyond the limit.
fn permits(bytes: usize) -> u32 {
    let permits = bytes.min(MAX_ADMITTED_BYTES).div_ceil(KIB);
    u32::try_from(permits).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn permits_of_an_input_beyond_the_limit_are_all_there_are() {
        assert_eq!(permits(1), 1);
        assert_eq!(permits(MAX_ADMITTED_BYTES), 256 * 1024);
        assert_eq!(permits(usize::MAX), 256 * 1024);
    }

    #[test]
    fn admit_counts_large_inputs_only_and_refuses_those_beyond_the_limit() {
        assert!(admit(MAX_INLINE_BYTES).unwrap().is_none());
        let bytes = 64 * 1024 * 1024;
        let mut shares: Vec<_> = (0..4).map(|_| admit(bytes).unwrap()).collect();
        assert_eq!(admit(bytes).err(), Some(MAX_ADMITTED_BYTES));
        shares.pop();
        assert!(admit(bytes).unwrap().is_some());
    }
}
