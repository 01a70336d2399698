//! Tests against a real `nats-server`.

mod detours;
mod documented;
mod lifecycle;
mod reads;
mod support;
mod table;
