//! `oam agent`: the contract of an agent, and one command per verb.

pub(crate) mod call;
pub(crate) mod contract;
mod example;
mod payload;
pub(crate) mod send;
pub(crate) mod stream;
pub(crate) mod subscribe;
mod unfit;
