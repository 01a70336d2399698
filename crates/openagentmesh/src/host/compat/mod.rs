//! Behaviour for peers of published SDKs only.

pub(super) mod late_subscriber;
