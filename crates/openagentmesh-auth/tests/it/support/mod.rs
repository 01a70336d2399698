//! A server with users, and clients of single lines of the protocol.

pub(crate) mod buckets;
mod client;
mod server;

pub(crate) use client::Client;
pub(crate) use server::AuthServer;
