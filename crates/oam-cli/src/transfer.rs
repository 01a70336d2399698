//! The progress of an upload or a download, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use openagentmesh::Progress;

const KNOWN_LENGTH_STYLE: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
const UNKNOWN_LENGTH_STYLE: &str = "{spinner} {msg} {bytes} {bytes_per_sec}";

/// A progress bar on stderr, if stderr is a terminal. Dropping it clears the line.
pub(crate) struct Transfer(ProgressBar);

impl Transfer {
    /// A bar labelled with `title`.
    pub(crate) fn new(title: String) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        set_style(&bar, UNKNOWN_LENGTH_STYLE);
        Self(bar.with_message(title))
    }

    /// An invisible bar, for content that is printed to the same terminal.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Updates the bar.
    pub(crate) fn show(&self, progress: Progress) {
        if self.0.length().is_none()
            // A named pipe reports a length of 0.
            && let Some(total) = progress.total.filter(|total| *total > 0)
        {
            self.0.set_length(total);
            set_style(&self.0, KNOWN_LENGTH_STYLE);
        }
        self.0.set_position(progress.bytes);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.set_style(style),
        Err(failure) => {
            tracing::debug!(%failure, "invalid template; the plain progress bar is used")
        }
    }
}
