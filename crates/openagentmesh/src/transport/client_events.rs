//! The events of one NATS client.

use std::sync::Arc;

use async_nats::Event;

use super::monitor::ConnectionMonitor;
use crate::util::sync::Mutex;

/// Passes the events of one client on to the monitor. The client's first connect is passed on once the client is in
/// use: until then, the connection stays lost for its users.
pub(super) struct Events {
    monitor: ConnectionMonitor,
    state: Mutex<EventState>,
}

#[derive(Default)]
struct EventState {
    is_in_use: bool,
    is_connected: bool,
}

impl Events {
    pub(super) fn new(monitor: &ConnectionMonitor) -> Arc<Self> {
        Arc::new(Self {
            monitor: monitor.clone(),
            state: Mutex::default(),
        })
    }

    pub(super) fn observe(&self, event: &Event) {
        let mut state = self.state.lock();
        match event {
            Event::Connected => {
                state.is_connected = true;
                self.monitor.connected();
                if state.is_in_use {
                    self.monitor.restored();
                }
            }
            Event::Disconnected => {
                state.is_connected = false;
                self.monitor.observe(event);
            }
            _ => self.monitor.observe(event),
        }
    }

    /// The client is in use from now on.
    pub(super) fn start(&self) {
        let mut state = self.state.lock();
        state.is_in_use = true;
        if state.is_connected {
            self.monitor.restored();
        }
    }
}
