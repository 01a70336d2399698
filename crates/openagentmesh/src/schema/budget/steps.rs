//! The limits on steps.

/// Steps of checking one value. A step takes the library up to about 100 ns.
pub(in crate::schema) const CHECK_STEPS: u64 = 4_000_000;

/// Steps of listing the problems of one value: each step can add a problem of a few hundred bytes.
pub(in crate::schema) const LIST_STEPS: u64 = 100_000;
