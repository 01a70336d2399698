//! Giving freed memory back to the system.

/// Bytes of the piece that is freed: more than 64 KiB, where the allocator of glibc begins to join free pieces,
/// and less than 128 KiB, where it takes pieces from the system.
const PIECE_BYTES: usize = 96 * 1024;

/// Makes the allocator of glibc join the small pieces that this thread has freed, and give those at the end of
/// the heap back to the system. Without effect for other allocators.
///
/// Freed small pieces are only joined when a large one is freed in the same heap.
pub(crate) fn join_freed_pieces() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(PIECE_BYTES)));
}
