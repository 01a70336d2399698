//! `oam mesh`: local meshes, `.oam-url`, the catalog, and the messages on a subject.

pub(crate) mod catalog;
pub(crate) mod connect;
pub(crate) mod down;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod listen;
pub(crate) mod logs;
pub(crate) mod monitor;
pub(crate) mod publish;
pub(crate) mod repair;
pub(crate) mod status;
mod stored;
pub(crate) mod up;
