//! How many chunks a host may send before it must wait.

/// What a consumer has granted, and what it owes of it.
///
/// A window that nobody chose begins small and grows as long as its consumer waits for chunks: then
/// the way between the two may be what holds them up. A slow consumer keeps a small one, and so do
/// large chunks.
#[derive(Debug)]
pub(super) struct Window {
    chunks: u32,
    grows: bool,
    /// Chunks that were taken and not yet given back as credit.
    taken: u32,
    /// Whether the consumer had to wait since it gave credit.
    waited: bool,
    largest_chunk: usize,
}

impl Window {
    const FIRST: u32 = 128;
    /// How far it grows: so many chunks, and so many bytes.
    const CHUNKS: u32 = 1024;
    const BYTES: usize = 1024 * 1024;
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
            largest_chunk: 1,
        }
    }

    /// How many chunks the host may send.
    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.taken += 1;
        self.largest_chunk = self.largest_chunk.max(bytes);
    }

    /// The consumer has taken all there was.
    pub(super) fn wait(&mut self) {
        self.waited = true;
    }

    /// The credit to be given now, if any is due: half of the window at a time, and what it grows by.
    pub(super) fn credit(&self) -> Option<u32> {
        let next = self.next();
        let outstanding = self.chunks - self.taken.min(self.chunks);
        let is_due = outstanding <= next.min(self.chunks) / 2;
        is_due.then(|| next - outstanding)
    }

    /// The credit was given.
    pub(super) fn give(&mut self) {
        self.chunks = self.next();
        self.taken = 0;
        self.waited = false;
    }

    /// How wide the window is from the next credit on.
    fn next(&self) -> u32 {
        if !self.grows {
            return self.chunks;
        }
        let bytes = u32::try_from(Self::BYTES / self.largest_chunk).unwrap_or(u32::MAX);
        let most = bytes.clamp(Self::FIRST, Self::CHUNKS);
        let wanted = if self.waited {
            self.chunks * 2
        } else {
            self.chunks
        };
        wanted.min(most)
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
                window.give();
                return credit;
            }
        }
    }

    #[test]
    fn it_grows_while_its_consumer_waits() {
        let mut window = Window::growing();
        assert_eq!(credit(&mut window, 100), 64, "nobody waited");
        window.wait();
        assert_eq!(credit(&mut window, 100), 64 + 128);
        assert_eq!(credit(&mut window, 100), 128, "nobody has waited since");
        for _ in 0..10 {
            window.wait();
            credit(&mut window, 100);
        }
        assert_eq!(window.chunks(), Window::CHUNKS);
    }

    #[test]
    fn large_chunks_keep_it_small() {
        let mut window = Window::growing();
        for _ in 0..10 {
            window.wait();
            credit(&mut window, 4096);
        }
        assert_eq!(window.chunks(), 256, "1 MiB");
        window.wait();
        assert_eq!(
            credit(&mut window, 1024 * 1024),
            64,
            "192 chunks were taken of 256"
        );
        assert_eq!(window.chunks(), Window::FIRST);
    }

    #[test]
    fn what_was_chosen_stays() {
        let mut window = Window::of(3);
        window.wait();
        assert_eq!(credit(&mut window, 1), 2);
        assert_eq!(window.chunks(), 3);
        assert_eq!(Window::of(0).chunks(), 1);
    }
}
