//! The progress of an upload or a download, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use openagentmesh::Progress;

const KNOWN_LENGTH_STYLE: &str = "{wide_msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
const NARROW_STYLE: &str = "{wide_msg} {bytes}/{total_bytes}";
const UNKNOWN_LENGTH_STYLE: &str = "{spinner} {wide_msg} {bytes} {bytes_per_sec}";

/// A narrower terminal has no place for the bar.
const MIN_BAR_COLUMNS: usize = 80;

/// A progress bar on stderr, if stderr is a terminal. Dropping it clears the line.
pub(crate) struct Transfer {
    bar: ProgressBar,
    known_length_style: &'static str,
}

impl Transfer {
    /// A bar labelled with `title`, on a terminal with this number of `columns`.
    pub(crate) fn new(title: String, columns: usize) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        set_style(&bar, UNKNOWN_LENGTH_STYLE);
        Self {
            bar: bar.with_message(title),
            known_length_style: match columns {
                MIN_BAR_COLUMNS.. => KNOWN_LENGTH_STYLE,
                _ => NARROW_STYLE,
            },
        }
    }

    /// An invisible bar, for content that is printed to the same terminal.
    pub(crate) fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            known_length_style: KNOWN_LENGTH_STYLE,
        }
    }

    /// Updates the bar.
    pub(crate) fn show(&self, progress: Progress) {
        if self.bar.length().is_none()
            // A named pipe reports a length of 0.
            && let Some(total) = progress.total.filter(|total| *total > 0)
        {
            self.bar.set_length(total);
            set_style(&self.bar, self.known_length_style);
        }
        self.bar.set_position(progress.bytes);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
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
