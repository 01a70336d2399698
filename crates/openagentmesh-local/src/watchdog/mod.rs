//! The watchdog: it ends a server as soon as the owner of that server is gone.

#[cfg(windows)]
mod job;
#[cfg(not(windows))]
mod shell;

#[cfg(windows)]
pub(crate) use job::Watchdog;
#[cfg(not(windows))]
pub(crate) use shell::Watchdog;
