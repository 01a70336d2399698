//! `oam kv`: the shared values of the mesh.

pub(crate) mod create;
pub(crate) mod delete;
mod entry;
mod failure;
pub(crate) mod get;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod update;
mod value;
pub(crate) mod watch;
mod written;
