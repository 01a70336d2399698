//! Behaviour that exists only for peers of published SDKs.

pub(super) mod late_subscriber;
