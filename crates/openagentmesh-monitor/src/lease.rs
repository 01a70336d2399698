//! The lease of the active monitor.

use std::time::Duration;

use openagentmesh_protocol::InstanceId;
use tokio::time::Instant;

use crate::mesh::{Held, Mesh};
use crate::observations::Observations;

/// The lease as one process sees it.
pub(crate) struct Lease {
    own: InstanceId,
    timeout: Duration,
    /// The revision that this process wrote, and when; `None` on standby.
    held: Option<(u64, Instant)>,
    observed: Observations<InstanceId>,
}

/// The role of this process.
pub(crate) enum Role {
    Active,
    /// Another process is active: the holder of the lease, if it is known.
    Standby(Option<Held>),
}

impl Lease {
    pub(crate) fn new(own: InstanceId, timeout: Duration) -> Self {
        Self {
            own,
            timeout,
            held: None,
            observed: Observations::new(timeout),
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Renews the lease when a third of its time is over, or takes it if no process holds it: it is missing, unchanged
    /// for its whole time, or held by `dead`.
    pub(crate) async fn keep<M: Mesh>(
        &mut self,
        mesh: &M,
        dead: Option<&InstanceId>,
    ) -> Result<Role, M::Error> {
        if let Some((revision, renewed)) = self.held {
            return self.renew(mesh, revision, renewed).await;
        }
        let current = mesh.lease().await?;
        let seen = current.iter().map(|held| (&held.holder, held.revision));
        self.observed.observe(seen);
        let revision = match current {
            None => 0,
            // Of this process, which has lost track of it.
            Some(held) if held.holder == self.own => held.revision,
            Some(held) => {
                let is_expired = self.observed.unchanged_for(&held.holder) >= self.timeout;
                if !is_expired && dead != Some(&held.holder) {
                    return Ok(Role::Standby(Some(held)));
                }
                held.revision
            }
        };
        let now = Instant::now();
        let written = mesh.write_lease(&self.own, revision).await?;
        self.held = written.map(|revision| (revision, now));
        Ok(self.role())
    }

    fn role(&self) -> Role {
        if self.is_held() {
            Role::Active
        } else {
            Role::Standby(None)
        }
    }

    async fn renew<M: Mesh>(
        &mut self,
        mesh: &M,
        revision: u64,
        renewed: Instant,
    ) -> Result<Role, M::Error> {
        if renewed.elapsed() < self.timeout / 3 {
            return Ok(Role::Active);
        }
        // Taken before the write: the lease of a process that freezes in between counts from here.
        let now = Instant::now();
        match mesh.write_lease(&self.own, revision).await {
            Ok(written) => {
                self.held = written.map(|revision| (revision, now));
                Ok(self.role())
            }
            Err(error) => {
                if renewed.elapsed() >= self.timeout {
                    self.held = None;
                }
                Err(error)
            }
        }
    }

    /// Gives the lease back, so that another process need not wait for its end.
    pub(crate) async fn release<M: Mesh>(&mut self, mesh: &M) -> Result<(), M::Error> {
        if let Some((revision, _)) = self.held.take() {
            mesh.remove_lease(revision).await?;
        }
        Ok(())
    }
}
