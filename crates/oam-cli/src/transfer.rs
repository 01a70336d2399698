//! How far a file has come, for a person at a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use openagentmesh::Progress;

const OF_KNOWN_LENGTH: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
const OF_UNKNOWN_LENGTH: &str = "{spinner} {msg} {bytes} {bytes_per_sec}";

/// A bar on stderr, if that is a terminal. It disappears when dropped.
pub(crate) struct Transfer(ProgressBar);

impl Transfer {
    /// A bar with a word on what is done with the file.
    pub(crate) fn new(what: String) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        set_style(&bar, OF_UNKNOWN_LENGTH);
        Self(bar.with_message(what))
    }

    /// A bar that nobody sees, where what comes goes to the same terminal.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// So much has come.
    pub(crate) fn show(&self, progress: Progress) {
        if self.0.length().is_none()
            // A pipe that is put as a file says that it has no length.
            && let Some(total) = progress.total.filter(|total| *total > 0)
        {
            self.0.set_length(total);
            set_style(&self.0, OF_KNOWN_LENGTH);
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
        Err(failure) => tracing::debug!(%failure, "the plain progress bar is used"),
    }
}
