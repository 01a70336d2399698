//! How many chunks a host may send before it must wait.

use std::time::Duration;

use tokio::time::Instant;

/// What a consumer has granted, and what it owes of it.
///
/// A window that nobody chose begins small. It grows as long as its consumer waits for chunks, for
/// then the way between the two may be what holds them up, and as long as it takes half of it in an
/// instant, for then the host should have more to do each time that it is woken. A slow consumer keeps
/// a small one, and so do large chunks.
#[derive(Debug)]
pub(super) struct Window {
    chunks: u32,
    grows: bool,
    /// Chunks that were taken and not yet given back as credit.
    taken: u32,
    /// Whether the consumer had to wait since it gave credit.
    waited: bool,
    /// When it gave credit.
    given: Instant,
    largest_chunk: usize,
}

impl Window {
    const FIRST: u32 = 128;
    /// How far it grows: so many chunks, and so many bytes of memory.
    const CHUNKS: u32 = 2048;
    const BYTES: usize = 4 * 1024 * 1024;
    /// What a message takes in memory beside its bytes: its headers are in a table once more.
    const MESSAGE: usize = 768;
    /// Who takes half of a window in less could take more.
    const INSTANT: Duration = Duration::from_millis(10);
    /// The client buffers 65,536 messages of a subscription; half of that leaves room for its own.
    const LARGEST: u32 = 32 * 1024;

    pub(super) fn growing() -> Self {
        Self::new(Self::FIRST, true)
    }

    /// One that stays as it is.
    pub(super) fn of(chunks: u32) -> Self {
        Self::new(chunks.clamp(1, Self::LARGEST), false)
    }

    fn new(chunks: u32, grows: bool) -> Self {
        Self {
            chunks,
            grows,
            taken: 0,
            waited: false,
            given: Instant::now(),
            largest_chunk: 1,
        }
    }

    /// How many chunks the host may send.
    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(1);
        self.largest_chunk = self.largest_chunk.max(bytes);
    }

    /// The consumer has taken all there was.
    pub(super) fn wait(&mut self) {
        self.waited = true;
    }

    /// The credit to be given now, if any is due: half of the window at a time, and what it grows by.
    pub(super) fn credit(&self) -> Option<u32> {
        let outstanding = self.outstanding();
        let is_due = outstanding <= self.chunks.min(self.most()) / 2;
        is_due.then(|| self.next().saturating_sub(outstanding))
    }

    /// So much credit was given.
    pub(super) fn give(&mut self, credit: u32) {
        self.chunks = self.outstanding() + credit;
        self.taken = 0;
        self.waited = false;
        self.given = Instant::now();
    }

    fn outstanding(&self) -> u32 {
        self.chunks.saturating_sub(self.taken)
    }

    /// How wide the window is from the next credit on.
    fn next(&self) -> u32 {
        if self.grows && (self.waited || self.given.elapsed() < Self::INSTANT) {
            (self.chunks * 2).min(self.most())
        } else {
            self.chunks.min(self.most())
        }
    }

    /// How wide it may be for chunks of this size.
    fn most(&self) -> u32 {
        if !self.grows {
            return self.chunks;
        }
        let chunks = Self::BYTES / (self.largest_chunk + Self::MESSAGE);
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        chunks.clamp(Self::FIRST, Self::CHUNKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes chunks until credit is due, and gives it.
    fn credit(window: &mut Window, bytes: usize) -> u32 {
        loop {
            window.take(bytes);
            if let Some(credit) = window.credit() {
                window.give(credit);
                return credit;
            }
        }
    }

    /// The same, but slowly.
    async fn slow_credit(window: &mut Window, bytes: usize) -> u32 {
        tokio::time::advance(Window::INSTANT).await;
        credit(window, bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_while_its_consumer_waits() {
        let mut window = Window::growing();
        assert_eq!(slow_credit(&mut window, 100).await, 64, "nobody waited");
        window.wait();
        assert_eq!(slow_credit(&mut window, 100).await, 64 + 128);
        assert_eq!(
            slow_credit(&mut window, 100).await,
            128,
            "nobody has waited since"
        );
        for _ in 0..10 {
            window.wait();
            slow_credit(&mut window, 100).await;
        }
        assert_eq!(window.chunks(), Window::CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_while_its_consumer_is_quick() {
        let mut window = Window::growing();
        assert_eq!(credit(&mut window, 100), 64 + 128);
        for _ in 0..10 {
            credit(&mut window, 100);
        }
        assert_eq!(window.chunks(), Window::CHUNKS);
    }

    #[tokio::test(start_paused = true)]
    async fn large_chunks_keep_it_small() {
        let mut window = Window::growing();
        let (medium, large) = (16 * 1024 - Window::MESSAGE, 1024 * 1024);
        for _ in 0..10 {
            credit(&mut window, medium);
        }
        assert_eq!(window.chunks(), 256, "4 MiB");
        assert_eq!(
            credit(&mut window, large),
            64,
            "192 chunks were taken of 256"
        );
        assert_eq!(window.chunks(), Window::FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_chosen_stays() {
        let mut window = Window::of(3);
        window.wait();
        assert_eq!(credit(&mut window, 1), 2);
        assert_eq!(window.chunks(), 3);
        assert_eq!(Window::of(0).chunks(), 1);
    }
}
