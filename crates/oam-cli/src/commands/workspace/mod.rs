//! `oam workspace`: the shared files of the mesh.

pub(crate) mod delete;
mod failure;
mod file;
pub(crate) mod get;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod put;
mod show;
