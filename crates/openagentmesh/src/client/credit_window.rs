//! The number of chunks that a host may send before it must wait.

use std::time::Duration;

use tokio::time::Instant;

/// The credit that a consumer has granted to its host, and the chunks that it has taken since.
///
/// The default window begins with a few chunks, because their size is not known. It doubles while its consumer waits for
/// chunks, because the round trip may then be the limit. It also doubles while the consumer takes half a window within
/// [`FAST_REFILL`](Self::FAST_REFILL), so that the host does more work each time it is woken. A slow consumer and large
/// chunks keep the window small.
#[derive(Debug, Clone)]
pub(super) struct Window {
    chunks: u32,
    grows: bool,
    /// Chunks that were taken since the last credit.
    taken: u32,
    /// Whether the consumer has waited for a chunk since the last credit.
    waited: bool,
    /// The time of the last credit.
    given: Instant,
    /// The largest chunk in bytes since the last credit, and before it since the one before.
    largest: [usize; 2],
}

impl Window {
    /// The first size of a growing window, in chunks. As many of the largest messages fit into the memory for waiting chunks.
    const FIRST_CHUNKS: u32 = 8;
    /// The least size of a growing window whose chunks are large, in chunks: one is taken while the next one is sent.
    const MIN_CHUNKS: u32 = 2;
    /// The limits of growth, in chunks and in bytes of memory.
    const MAX_CHUNKS: u32 = 4096;
    const MAX_BYTES: usize = 4 * 1024 * 1024;
    /// The memory of a message in addition to its content, in bytes: the table of its headers.
    pub(super) const MESSAGE_OVERHEAD_BYTES: usize = 768;
    /// A consumer that takes half a window in less time could take more.
    const FAST_REFILL: Duration = Duration::from_millis(10);
    /// The NATS client buffers 65,536 messages of a subscription. Half of that is always free.
    const MAX_FIXED_CHUNKS: u32 = 32 * 1024;

    pub(super) fn growing() -> Self {
        Self::new(Self::FIRST_CHUNKS, true)
    }

    /// A window that does not grow.
    pub(super) fn of(chunks: u32) -> Self {
        Self::new(chunks.clamp(1, Self::MAX_FIXED_CHUNKS), false)
    }

    fn new(chunks: u32, grows: bool) -> Self {
        Self {
            chunks,
            grows,
            taken: 0,
            waited: false,
            given: Instant::now(),
            largest: [1, 1],
        }
    }

    /// The number of chunks that the host may send.
    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Counts a chunk that takes so many bytes of memory.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(1);
        self.largest[0] = self.largest[0].max(bytes);
    }

    /// The consumer has to wait for a chunk.
    pub(super) fn wait(&mut self) {
        self.waited = true;
    }

    /// The credit that is due: half a window at a time, plus its growth.
    pub(super) fn credit(&self) -> Option<u32> {
        let outstanding = self.outstanding();
        let is_due = outstanding <= self.chunks.min(self.limit()) / 2;
        is_due.then(|| self.next().saturating_sub(outstanding))
    }

    /// The consumer has given `credit`.
    pub(super) fn give(&mut self, credit: u32) {
        self.chunks = self.outstanding() + credit;
        self.taken = 0;
        self.waited = false;
        self.given = Instant::now();
        self.largest = [1, self.largest[0]];
    }

    fn outstanding(&self) -> u32 {
        self.chunks.saturating_sub(self.taken)
    }

    /// The window after the next credit.
    fn next(&self) -> u32 {
        let chunks = if self.grows && (self.waited || self.given.elapsed() < Self::FAST_REFILL) {
            self.chunks * 2
        } else {
            self.chunks
        };
        chunks.min(self.limit())
    }

    /// The largest window for chunks as large as the last ones.
    fn limit(&self) -> u32 {
        if !self.grows {
            return self.chunks;
        }
        let chunks = Self::MAX_BYTES / self.largest[0].max(self.largest[1]);
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        chunks.clamp(Self::MIN_CHUNKS, Self::MAX_CHUNKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::MessageQueue;

    /// Takes chunks until credit is due, and gives the credit.
    fn credit(window: &mut Window, bytes: usize) -> u32 {
        loop {
            window.take(bytes);
            if let Some(credit) = window.credit() {
                window.give(credit);
                return credit;
            }
        }
    }

    /// As `credit`, but slowly.
    async fn slow_credit(window: &mut Window, bytes: usize) -> u32 {
        tokio::time::advance(Window::FAST_REFILL).await;
        credit(window, bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn window_of_a_waiting_consumer_grows() {
        let mut window = Window::growing();
        assert_eq!(window.chunks(), 8);
        assert_eq!(
            slow_credit(&mut window, 100).await,
            4,
            "the consumer did not wait"
        );
        window.wait();
        assert_eq!(slow_credit(&mut window, 100).await, 4 + 8);
        assert_eq!(
            slow_credit(&mut window, 100).await,
            8,
            "the consumer has not waited since"
        );
        for _ in 0..10 {
            window.wait();
            slow_credit(&mut window, 100).await;
        }
        assert_eq!(window.chunks(), Window::MAX_CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn window_of_a_fast_consumer_grows() {
        let mut window = Window::growing();
        assert_eq!(credit(&mut window, 100), 4 + 8);
        for _ in 0..10 {
            credit(&mut window, 100);
        }
        assert_eq!(window.chunks(), Window::MAX_CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn window_of_large_chunks_is_small() {
        let mut window = Window::growing();
        let (medium, large, largest) = (16 * 1024, 1024 * 1024, 64 * 1024 * 1024);
        for _ in 0..10 {
            credit(&mut window, medium);
        }
        assert_eq!(window.chunks(), 256, "4 MiB");
        assert_eq!(
            credit(&mut window, large),
            2,
            "254 chunks were taken of 256"
        );
        assert_eq!(window.chunks(), 4, "4 MiB");
        credit(&mut window, largest);
        assert_eq!(window.chunks(), Window::MIN_CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn window_grows_again_after_a_large_chunk() {
        let mut window = Window::growing();
        credit(&mut window, 4 * 1024 * 1024);
        assert_eq!(window.chunks(), Window::MIN_CHUNKS);
        for _ in 0..20 {
            credit(&mut window, 100);
        }
        assert_eq!(window.chunks(), Window::MAX_CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn first_window_of_the_largest_chunks_stays_within_the_memory_for_waiting_chunks() {
        // The default `max_payload` of a local server.
        const LARGEST: usize = 8 * 1024 * 1024;
        let mut window = Window::growing();
        assert!(window.chunks() as usize * LARGEST <= MessageQueue::MAX_BYTES);
        credit(&mut window, LARGEST);
        assert_eq!(window.chunks(), Window::MIN_CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn fixed_window_does_not_grow() {
        let mut window = Window::of(3);
        window.wait();
        assert_eq!(credit(&mut window, 1), 2);
        assert_eq!(window.chunks(), 3);
        assert_eq!(Window::of(0).chunks(), 1);
    }
}
