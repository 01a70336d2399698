pub(crate) mod call;
pub(crate) mod contract;
mod payload;
pub(crate) mod stream;
pub(crate) mod subscribe;
