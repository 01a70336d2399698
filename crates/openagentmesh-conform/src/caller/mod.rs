//! Checks a caller: serves known agents and judges the requests to them.

mod agents;
mod calls;
mod check;
mod events;
mod reports;
mod request;
mod streams;

use std::sync::Mutex;
use std::time::Duration;

use async_nats::Message;
use futures::StreamExt;
use futures::stream::{FuturesUnordered, select_all};
use openagentmesh_protocol::{InstanceId, subject};
use tokio::time::{Instant, sleep_until};

use self::agents::{AGENTS, Behaviour};
use self::check::Check;
use crate::error::Error;
use crate::report::Report;
use crate::rule::Role;
use crate::rules::rules;
use crate::settings::Settings;
use crate::verdicts::Verdicts;
use crate::wire::Mesh;

/// The number of requests that are served at once. Further ones are not answered.
const MAX_RUNNING: usize = 256;

/// The steps of a caller that is checked: each is done once, in any order.
///
/// After a step, the caller calls `conform.report` with the name of the step and the value that it has seen.
pub const INSTRUCTIONS: &str = r#"The caller does each step once, and reports the value that it sees
by a call of conform.report with {"step": NAME, "seen": VALUE}:

  echo     call conform.echo with {"text": "hello"}; VALUE is the output
  fail     call conform.fail with {"text": "hello"}; VALUE is the code of the error
  lower    call conform.lower with {"text": "hello"}; VALUE is the code of the error
  absent   call conform.absent with {"text": "hello"}; VALUE is the code of the error
  slow     call conform.slow with {"text": "hello"}, which takes 2 s; VALUE is the output
  count    stream conform.count with {"to": 300}; VALUE is the number of chunks
  gap      stream conform.gap with {"to": 5}; VALUE is the code of the error
  stumble  stream conform.stumble with {"to": 2}; VALUE is the code of the error
  ticks    subscribe to conform.ticks and take 3 events; VALUE is their number

and these steps without a report:

  endless  stream conform.endless with {"to": 0}, take 3 chunks, and drop the stream
  never    call conform.never with {"text": "hello"} and a timeout of 1 s
  note     send {"text": "hello"} to conform.note with the reply subject conform.replies
"#;

/// A function that receives the instructions and the progress.
type OnPrompt = Box<dyn Fn(&str) + Send + Sync>;

/// A check of a caller, which calls, streams and subscribes to agents of the kit as the [`INSTRUCTIONS`] say.
pub struct CallerCheck {
    settings: Settings,
    timeout: Duration,
    on_prompt: OnPrompt,
}

impl Default for CallerCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl CallerCheck {
    /// A check that ends when all steps are done, and after 60 s at the latest.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            timeout: Duration::from_secs(60),
            on_prompt: Box::new(|_| {}),
        }
    }

    /// Sets the limits of the single waits.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the limit of the whole check.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the function that is called with the instructions, once the agents are registered, and with each step that
    /// is done.
    #[must_use]
    pub fn on_prompt(mut self, prompt: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_prompt = Box::new(prompt);
        self
    }

    /// Runs the check until all steps are done, the timeout, or the end of `stop`. Not cancel-safe: a dropped check
    /// leaves its agents in the catalog.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when the agents cannot be registered, and [`Error::Message`] when a message cannot be sent.
    pub async fn run_until(
        &self,
        mesh: &Mesh,
        stop: impl Future<Output = ()>,
    ) -> Result<Report, Error> {
        let check = Check {
            mesh,
            settings: self.settings,
            verdicts: Verdicts::default(),
            instance: InstanceId::random(),
            state: Mutex::default(),
            on_prompt: &*self.on_prompt,
        };
        let served = serve(&check, self.timeout, stop).await;
        let left = agents::deregister(mesh).await;
        served.and(left)?;
        let judged = check
            .verdicts
            .judged(rules(Role::Caller), "the caller did not do the step");
        Ok(Report::new(Role::Caller, judged))
    }
}

impl std::fmt::Debug for CallerCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerCheck")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

async fn serve(
    check: &Check<'_>,
    limit: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let failed = |error: async_nats::SubscribeError| Error::Message(error.to_string());
    let mut requests = Vec::new();
    for agent in AGENTS.iter().filter(|agent| agent.is_served()) {
        let name = agent.name();
        let subscribed = check
            .mesh
            .client
            .queue_subscribe(subject::agent(&name), subject::queue_group(&name));
        let messages = subscribed.await.map_err(failed)?;
        requests.push(
            messages
                .map(move |message| (agent.behaviour, message))
                .boxed(),
        );
    }
    let mut requests = select_all(requests);
    check.mesh.settle().await?;
    agents::register(check.mesh).await?;
    (check.on_prompt)(INSTRUCTIONS);

    let end = Instant::now() + limit;
    let mut running = FuturesUnordered::new();
    let mut publishing = std::pin::pin!(events::publish(check));
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            Some((behaviour, message)) = requests.next() => {
                if running.len() < MAX_RUNNING {
                    running.push(answer(check, behaviour, message));
                }
            }
            Some(answered) = running.next() => answered?,
            published = &mut publishing => published?,
            () = sleep_until(end) => return Ok(()),
            () = &mut stop => return Ok(()),
        }
        if running.is_empty() && check.is_done() {
            return Ok(());
        }
    }
}

async fn answer(check: &Check<'_>, behaviour: Behaviour, message: Message) -> Result<(), Error> {
    match behaviour {
        Behaviour::Report => reports::answer(check, message).await,
        Behaviour::Count | Behaviour::Gap | Behaviour::Stumble | Behaviour::Endless => {
            streams::answer(check, behaviour, message).await
        }
        _ => calls::answer(check, behaviour, message).await,
    }
}
