//! What a person at a terminal sees of an installation.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::platform::PINNED_VERSION;

/// A sign of progress on standard error, if that is a terminal. It disappears when dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for a download of so many bytes.
    pub(super) fn of_download(length: Option<u64>) -> Self {
        Self::new(length, "{msg} [{bar:30}] {bytes}/{total_bytes}")
    }

    /// A spinner for work of unknown length.
    pub(super) fn of_installer() -> Self {
        let progress = Self::new(None, "{spinner} {msg}");
        progress.0.enable_steady_tick(Duration::from_millis(120));
        progress
    }

    /// So many more bytes are there.
    pub(super) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
            .with_message(format!("Installing nats-server {PINNED_VERSION}"));
        Self(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(failure) => {
                tracing::debug!(%failure, "the plain progress bar is used");
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
