//! The console events of Windows.

use std::io;
use std::time::Duration;

use tokio::signal::windows::{self, CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown};

/// The system ends the process 5 s after the event, if its settings are the defaults.
const TIME_LEFT: Duration = Duration::from_secs(5);

/// All console events.
pub(super) struct Source {
    ctrl_c: CtrlC,
    ctrl_break: CtrlBreak,
    close: CtrlClose,
    logoff: CtrlLogoff,
    shutdown: CtrlShutdown,
}

impl Source {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            logoff: windows::ctrl_logoff()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next event. Returns the time after which the system ends the process, if the event does.
    pub(super) async fn next(&mut self) -> Option<Duration> {
        let ends_process = tokio::select! {
            _ = self.ctrl_c.recv() => false,
            _ = self.ctrl_break.recv() => false,
            _ = self.close.recv() => true,
            _ = self.logoff.recv() => true,
            _ = self.shutdown.recv() => true,
        };
        ends_process.then_some(TIME_LEFT)
    }
}
