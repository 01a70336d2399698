//! The progress of an installation on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::platform::PINNED_VERSION;
use openagentmesh_name::Visible;

/// A progress bar or spinner on standard error, if that is a terminal. Cleared on drop.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for a download of `length` bytes, if known.
    pub(super) fn of_download(length: Option<u64>) -> Self {
        Self::new(length, "{msg} [{bar:30}] {bytes}/{total_bytes}")
    }

    /// A spinner for work of unknown length.
    pub(super) fn of_installer() -> Self {
        let progress = Self::new(None, "{spinner} {msg}");
        progress.0.enable_steady_tick(Duration::from_millis(120));
        progress
    }

    /// Adds `bytes` to the position of the bar.
    pub(super) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
            .with_message(format!("Installing nats-server {PINNED_VERSION}"));
        Self(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(failure) => {
                tracing::debug!(failure = %Visible(&failure), "using the plain progress bar");
                bar
            }
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
