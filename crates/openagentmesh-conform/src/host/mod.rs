//! Checks the host of an agent.

mod calls;
mod events;
mod exchange;
mod input;
mod inputs;
mod instances;
mod leaving;
mod queue_group;
mod registration;
mod replies;
mod slow;
mod stalled;
mod streams;
mod target;
mod traffic;

use std::time::Duration;

use openagentmesh_protocol::AgentName;
use serde_json::Value;

use self::exchange::Host;
use self::input::Input;
use self::target::Target;
use crate::error::Error;
use crate::report::Report;
use crate::rule::Role;
use crate::rules::{self, rules};
use crate::settings::Settings;
use crate::verdicts::Verdicts;
use crate::wire::Mesh;

pub(crate) use self::replies::{misspelled, shown};

/// A function that receives instructions for the person or program that controls the host.
type OnPrompt = Box<dyn Fn(&str) + Send + Sync>;

/// A check of the host that serves one agent.
///
/// The check sends valid, invalid and hostile requests, so it belongs on a mesh for tests. While it checks the queue
/// group, it takes some of the agent's requests; those of other callers are answered with `not_available`.
pub struct HostCheck {
    name: AgentName,
    input: Option<Value>,
    slow_input: Option<Value>,
    settings: Settings,
    registration: Duration,
    leaving: Option<Duration>,
    on_prompt: OnPrompt,
}

impl HostCheck {
    /// A check of the host of agent `name`.
    #[must_use]
    pub fn new(name: AgentName) -> Self {
        Self {
            name,
            input: None,
            slow_input: None,
            settings: Settings::default(),
            registration: Duration::ZERO,
            leaving: None,
            on_prompt: Box::new(|_| {}),
        }
    }

    /// Sets a valid input, which runs in less than the timeout of an answer. Without it, the input is generated from the
    /// schema of the contract.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = Some(input);
        self
    }

    /// Sets an input that a responder works on for one to five seconds. Without it, the rules of running calls are
    /// skipped.
    #[must_use]
    pub fn slow_input(mut self, input: Value) -> Self {
        self.slow_input = Some(input);
        self
    }

    /// Sets the limits of all waits.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Waits so long for an agent that is not registered yet, and checks its registration. Zero by default.
    #[must_use]
    pub fn await_registration(mut self, limit: Duration) -> Self {
        self.registration = limit;
        self
    }

    /// Waits so long for the host to leave, after all other rules. Without it, the rules of leaving are skipped.
    #[must_use]
    pub fn await_leaving(mut self, limit: Duration) -> Self {
        self.leaving = Some(limit);
        self
    }

    /// Sets the function that is called with an instruction when the host has to be started or stopped.
    #[must_use]
    pub fn on_prompt(mut self, prompt: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_prompt = Box::new(prompt);
        self
    }

    /// Runs the check. Takes up to about a minute with a host that answers nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the mesh does not know the agent, [`Error::Storage`] when a bucket cannot be read, and
    /// [`Error::Message`] when a message cannot be sent. Not cancel-safe: use [`run_until`](Self::run_until).
    pub async fn run(&self, mesh: &Mesh) -> Result<Report, Error> {
        let verdicts = Verdicts::default();
        self.check(self.host(mesh, &verdicts)).await?;
        Ok(Self::report(&verdicts))
    }

    /// Runs the check until it is complete. `None` if `stop` ends before.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run). Not cancel-safe: while a registration is awaited, the catalog has an entry of the
    /// kit, which a dropped future leaves there.
    pub async fn run_until(
        &self,
        mesh: &Mesh,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Report>, Error> {
        let verdicts = Verdicts::default();
        let host = self.host(mesh, &verdicts);
        tokio::select! {
            checked = self.check(host) => checked?,
            () = stop => {
                registration::remove_witness(host).await?;
                return Ok(None);
            }
        }
        Ok(Some(Self::report(&verdicts)))
    }

    fn host<'c>(&'c self, mesh: &'c Mesh, verdicts: &'c Verdicts) -> Host<'c> {
        Host {
            mesh,
            name: &self.name,
            settings: self.settings,
            verdicts,
        }
    }

    fn report(verdicts: &Verdicts) -> Report {
        let judged = verdicts.judged(rules(Role::Host), "the agent has no such messages");
        Report::new(Role::Host, judged)
    }

    async fn check(&self, host: Host<'_>) -> Result<(), Error> {
        let mut target = Target::read(host.mesh, &self.name).await?;
        let registering = &rules::registration::TABLE[..5];
        let leaving = &rules::registration::TABLE[5..];
        if target.is_empty() && self.registration > Duration::ZERO {
            registration::check(host, self.registration, &*self.on_prompt).await?;
            target = Target::read(host.mesh, &self.name).await?;
        } else {
            let reason = "the agent was registered before the check";
            host.verdicts.skip_all(registering, reason);
        }
        if target.is_empty() {
            return Err(Error::NotFound {
                agent: self.name.clone(),
                waited: self.registration,
            });
        }
        target.judge(&self.name, host.verdicts);
        let capabilities = target.capabilities();
        let input = Input::of(&target, self.input.as_ref());
        let mut instance = None;
        match (capabilities.invocable, capabilities.streaming) {
            (true, false) => {
                instance = calls::check(host, &target, &input).await?;
                slow::check(host, &input, self.slow_input.as_ref()).await?;
            }
            (true, true) => instance = streams::check(host, &target, &input).await?,
            (false, streaming) => {
                inputs::check_not_invocable(host).await?;
                if streaming {
                    instance = events::check(host, &target).await?;
                }
            }
        }
        if capabilities.invocable {
            inputs::check(host, &target, capabilities.streaming).await?;
            queue_group::check(host, capabilities.streaming).await?;
        }
        instances::check(host, instance.as_deref(), &input, capabilities).await?;
        match self.leaving {
            Some(limit) => {
                leaving::check(host, limit, capabilities.invocable, &*self.on_prompt).await
            }
            None => {
                host.verdicts
                    .skip_all(leaving, "the host was not asked to leave");
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for HostCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostCheck")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
