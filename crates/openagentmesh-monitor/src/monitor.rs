//! The loop of the monitor.

use std::time::Duration;

use openagentmesh_protocol::InstanceId;
use tokio::time::{Instant, sleep, sleep_until};

use crate::burial::{bury, is_dead};
use crate::connections::{Connections, Presence};
use crate::disconnect::Disconnect;
use crate::instance::Instance;
use crate::lease::{Lease, Role};
use crate::mesh::{Held, Mesh};
use crate::observations::Observations;
use crate::repair::Unserved;
use crate::waker::{self, Waker, Wakeup, Wakeups};

/// The largest number of connections that are asked for one by one. For more, all connections are listed.
const MAX_SINGLE_QUERIES: usize = 8;

/// The time between a look that a disconnect has caused and the next one.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The number of failures from which on the time between steps is not lengthened any further.
const MAX_FAILURES: u32 = 5;

/// The times of a monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The lease of the active monitor. A standby takes over after this time. Default: 3 s.
    pub lease: Duration,
    /// The time between two looks at the records. Default: 500 ms.
    pub interval: Duration,
    /// The time that an instance has to write a record of its new connection, once its connection is gone.
    /// Default: 400 ms.
    pub reconnect: Duration,
    /// The time between two looks at all connections, and at entries without a process. Default: 10 s.
    pub full_interval: Duration,
    /// The time for which an entry must be without a process before it is removed. Default: 5 s.
    pub unserved: Duration,
    /// Whether entries that no process accounts for are looked for, which reads the whole catalog. Default: `true`.
    pub looks_for_unserved: bool,
}

impl Settings {
    /// Those of a monitor that only removes what dead instances leave.
    #[must_use]
    pub fn instances_only() -> Self {
        Self {
            looks_for_unserved: false,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            interval: Duration::from_millis(500),
            reconnect: Duration::from_millis(400),
            full_interval: Duration::from_secs(10),
            unserved: Duration::from_secs(5),
            looks_for_unserved: true,
        }
    }
}

/// The monitor of one process: on standby until it holds the lease, active then.
pub struct Monitor<M> {
    mesh: M,
    own: InstanceId,
    settings: Settings,
    wakeups: Wakeups,
    lease: Lease,
    /// The active monitor, while this one is on standby.
    holder: Option<Instance>,
    records: Observations<InstanceId>,
    unserved: Unserved,
    /// The number of steps that have failed one after the other; each lengthens the time to the next one.
    failures: u32,
    /// The time of the next look at all connections.
    next_full: Instant,
}

impl<M: Mesh> Monitor<M> {
    /// A monitor of the process with instance id `own`, and what wakes it.
    pub fn new(mesh: M, own: InstanceId, settings: Settings) -> (Self, Waker) {
        let (waker, wakeups) = waker::channel();
        // One look may fail before the observation of the leases starts again.
        let max_gap = settings.interval * 4 + settings.reconnect;
        let monitor = Self {
            mesh,
            lease: Lease::new(own.clone(), settings.lease),
            own,
            holder: None,
            records: Observations::new(max_gap),
            unserved: Unserved::new(settings.unserved, settings.full_interval * 2),
            settings,
            wakeups,
            failures: 0,
            next_full: Instant::now(),
        };
        (monitor, waker)
    }

    /// Runs without end. Cancel-safe: another monitor, or the same one later, goes on where this one stopped.
    pub async fn run(&mut self) {
        let mut wakeup = Wakeup::default();
        loop {
            match self.step(&wakeup).await {
                Ok(()) => self.failures = 0,
                Err(error) => {
                    tracing::debug!(%error, "the monitor could not look at the mesh");
                    self.failures = (self.failures + 1).min(MAX_FAILURES);
                }
            }
            if wakeup.is_set() {
                // A flood of forged disconnects causes few looks.
                sleep(MIN_PAUSE).await;
            }
            wakeup = self.wait().await;
        }
    }

    /// Gives the lease back. To be called when the process leaves the mesh.
    ///
    /// # Errors
    ///
    /// If the lease cannot be removed. It expires then.
    pub async fn leave(&mut self) -> Result<(), M::Error> {
        self.lease.release(&self.mesh).await
    }

    /// Whether this monitor is the active one, as far as it knows.
    pub fn is_active(&self) -> bool {
        self.lease.is_held()
    }

    /// Waits for the next step. A standby is woken only by what concerns the active monitor.
    async fn wait(&mut self) -> Wakeup {
        let is_active = self.is_active();
        let interval = if is_active {
            self.settings.interval
        } else {
            self.settings.lease / 3
        };
        let end = Instant::now() + interval * (1 + self.failures);
        loop {
            let wakeup = tokio::select! {
                biased;
                wakeup = self.wakeups.next() => wakeup,
                () = sleep_until(end) => return Wakeup::default(),
            };
            if is_active || self.concerns_holder(&wakeup) {
                return wakeup;
            }
        }
    }

    async fn step(&mut self, wakeup: &Wakeup) -> Result<(), M::Error> {
        let was_active = self.is_active();
        if !self.take_or_keep_lease(wakeup).await? {
            return Ok(());
        }
        if !was_active {
            tracing::debug!("this process is the monitor of the mesh");
        }
        let is_full = !was_active || wakeup.look_at_all || Instant::now() >= self.next_full;
        self.look(&wakeup.disconnects, is_full).await?;
        if is_full {
            if self.settings.looks_for_unserved
                && let Err(error) = self.unserved.remove(&self.mesh, &self.own).await
            {
                tracing::debug!(%error, "entries without a process are not known");
            }
            self.next_full = Instant::now() + self.settings.full_interval;
        }
        Ok(())
    }

    /// Returns whether this monitor is the active one. It takes over from one whose connection is gone: that is
    /// examined when the server reports a disconnect, and once for each new holder of the lease.
    async fn take_or_keep_lease(&mut self, wakeup: &Wakeup) -> Result<bool, M::Error> {
        let mut dead = None;
        if let Some(holder) = &self.holder
            && self.concerns_holder(wakeup)
            && self.is_gone(holder).await
        {
            dead = Some(holder.id.clone());
        }
        let held = match self.lease.keep(&self.mesh, dead.as_ref()).await? {
            Role::Active => {
                self.holder = None;
                return Ok(true);
            }
            Role::Standby(held) => held,
        };
        let Some(Held { holder: id, .. }) = held else {
            return Ok(false);
        };
        let is_new = self.holder.as_ref().is_none_or(|holder| holder.id != id);
        self.holder = self.mesh.instance(&id).await?;
        if is_new
            && let Some(holder) = &self.holder
            && self.is_gone(holder).await
        {
            let role = self.lease.keep(&self.mesh, Some(&id)).await?;
            return Ok(matches!(role, Role::Active));
        }
        Ok(false)
    }

    /// Whether `wakeup` is a reason to look at the active monitor.
    fn concerns_holder(&self, wakeup: &Wakeup) -> bool {
        let Some(holder) = &self.holder else {
            return false;
        };
        let names_holder = |disconnect| names(disconnect, holder);
        wakeup.look_at_all || wakeup.disconnects.iter().any(names_holder)
    }

    /// Whether the connection of `instance` is known to be gone.
    async fn is_gone(&self, instance: &Instance) -> bool {
        match self.mesh.connections(instance.record.client_id).await {
            Ok(connections) => connections.presence(instance) == Presence::Absent,
            Err(error) => {
                tracing::debug!(%error, "the connections are not known");
                false
            }
        }
    }

    /// Looks at all instances, and buries the dead ones.
    async fn look(&mut self, disconnects: &[Disconnect], is_full: bool) -> Result<(), M::Error> {
        let instances = self.mesh.instances().await?;
        let seen = instances
            .iter()
            .map(|instance| (&instance.id, instance.revision));
        self.records.observe(seen);
        let mut suspects = Vec::new();
        for instance in instances {
            // This process lives.
            if instance.id == self.own {
                continue;
            }
            let unchanged = self.records.unchanged_for(&instance.id);
            let lease = instance.record.lease_ms.map(Duration::from_millis);
            if is_dead(&instance.record) || lease.is_some_and(|lease| unchanged >= lease) {
                bury(&self.mesh, &instance).await?;
            } else if is_full
                || lease.is_some_and(|lease| unchanged >= lease / 2)
                || disconnects
                    .iter()
                    .any(|disconnect| names(disconnect, &instance))
            {
                suspects.push(instance);
            }
        }
        let gone = match self.disconnected(suspects).await {
            Ok(gone) => gone,
            // Without permission to ask, the leases decide.
            Err(error) => {
                tracing::debug!(%error, "the connections are not known");
                return Ok(());
            }
        };
        if gone.is_empty() {
            return Ok(());
        }
        sleep(self.settings.reconnect).await;
        for instance in self.still_disconnected(gone).await? {
            bury(&self.mesh, &instance).await?;
        }
        Ok(())
    }

    /// The suspects whose connection is gone.
    async fn disconnected(&self, suspects: Vec<Instance>) -> Result<Vec<Instance>, M::Error> {
        let is_single = |instance: &Instance| instance.record.connection().is_some();
        if suspects.len() <= MAX_SINGLE_QUERIES && suspects.iter().all(is_single) {
            let mut gone = Vec::new();
            for instance in suspects {
                let connections = self.mesh.connections(instance.record.client_id).await?;
                if connections.presence(&instance) == Presence::Absent {
                    gone.push(instance);
                }
            }
            return Ok(gone);
        }
        let connections = self.mesh.connections(None).await?;
        Ok(absent(suspects, &connections))
    }

    /// The instances of `gone` that are still disconnected. A record that names its connection need not be read again:
    /// it is guarded by its revision. An instance of another record may be connected again.
    async fn still_disconnected(&self, gone: Vec<Instance>) -> Result<Vec<Instance>, M::Error> {
        if gone
            .iter()
            .all(|instance| instance.record.connection().is_some())
        {
            return Ok(gone);
        }
        let connections = self.mesh.connections(None).await?;
        Ok(absent(gone, &connections))
    }
}

fn absent(instances: Vec<Instance>, connections: &Connections) -> Vec<Instance> {
    let is_absent = |instance: &Instance| connections.presence(instance) == Presence::Absent;
    instances.into_iter().filter(is_absent).collect()
}

/// Whether `disconnect` is a reason to look at `instance`.
fn names(disconnect: &Disconnect, instance: &Instance) -> bool {
    match instance.record.connection() {
        Some(connection) => connection == disconnect.connection,
        None => disconnect.instance.as_ref() == Some(&instance.id),
    }
}
