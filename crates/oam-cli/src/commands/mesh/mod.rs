pub(crate) mod catalog;
pub(crate) mod down;
pub(crate) mod up;
