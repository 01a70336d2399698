//! The events of a monitor, for the program that runs it.

use std::sync::Arc;

use openagentmesh_monitor::Notice;
use openagentmesh_protocol::{DeathNotice, InstanceId, InstanceNotice};

use crate::util::sync::Mutex;

/// An event of a [`Monitor`](crate::Monitor).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorEvent {
    /// This monitor is the active one.
    Active {
        /// The id under which it holds the lease.
        monitor: InstanceId,
    },
    /// Another monitor is the active one.
    Standby {
        /// The process that holds the lease.
        monitor: InstanceId,
    },
    /// An instance is dead.
    InstanceDown {
        /// The notice to callers.
        notice: InstanceNotice,
        /// Whether this monitor found the death. Otherwise a notice on the mesh says so, which any client can publish.
        is_confirmed: bool,
    },
    /// No process serves the agent any longer, and its entry is removed.
    AgentRemoved {
        /// The notice to callers.
        notice: DeathNotice,
        /// Whether this monitor removed the entry, as in [`InstanceDown`](Self::InstanceDown).
        is_confirmed: bool,
    },
}

/// Passes the events of a monitor to a function, or to none.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Observed>>);

struct Observed {
    own: InstanceId,
    on_event: Box<dyn Fn(MonitorEvent) + Send + Sync>,
    /// The active monitor, as it was last passed on.
    active: Mutex<Option<InstanceId>>,
}

impl Observer {
    /// Passes the events of the monitor `own` to `on_event`.
    pub(crate) fn new(
        own: InstanceId,
        on_event: impl Fn(MonitorEvent) + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Observed {
            own,
            on_event: Box::new(on_event),
            active: Mutex::default(),
        })))
    }

    pub(super) fn is_observing(&self) -> bool {
        self.0.is_some()
    }

    /// `holder` has the lease.
    pub(super) fn is_active(&self, holder: &InstanceId) {
        let Some(observed) = &self.0 else { return };
        let before = observed.active.lock().replace(holder.clone());
        if before.as_ref() == Some(holder) {
            return;
        }
        let monitor = holder.clone();
        (observed.on_event)(match monitor == observed.own {
            true => MonitorEvent::Active { monitor },
            false => MonitorEvent::Standby { monitor },
        });
    }

    /// This monitor announces `notice`.
    pub(super) fn announces(&self, notice: &Notice) {
        self.pass(notice.clone(), true);
    }

    /// A notice on the mesh. Those of this monitor are known.
    pub(super) fn receives(&self, notice: Notice) {
        let is_own =
            |observed: &Arc<Observed>| observed.active.lock().as_ref() == Some(&observed.own);
        if !self.0.as_ref().is_some_and(is_own) {
            self.pass(notice, false);
        }
    }

    fn pass(&self, notice: Notice, is_confirmed: bool) {
        let Some(observed) = &self.0 else { return };
        (observed.on_event)(match notice {
            Notice::InstanceDown(notice) => MonitorEvent::InstanceDown {
                notice,
                is_confirmed,
            },
            Notice::Death(notice) => MonitorEvent::AgentRemoved {
                notice,
                is_confirmed,
            },
        });
    }
}
