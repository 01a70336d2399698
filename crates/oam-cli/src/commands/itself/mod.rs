//! `oam self`.

mod files;
mod program;
pub(crate) mod uninstall;
