//! The task that looks for dead hosts while requests are pending.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt, StreamExt};
use openagentmesh_monitor::Disconnect;
use openagentmesh_protocol::{AgentName, ConnectionId, InstanceId, Subject, subject};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use super::questions::{Looked, Questions};
use super::suspects::{QUESTION_INTERVAL, Suspects};
use super::sweep::{Incarnation, SILENCE_TIMEOUT, SWEEP_INTERVAL, Sweep};
use crate::liveness::{CONNECTIONS_SUBJECT, READ_ONE};
use crate::session::Session;
use crate::transport::{Action, Connection};

/// The subjects of notices.
const NOTICES: [&str; 3] = [
    subject::ALL_INSTANCES_DOWN,
    subject::ALL_DEATHS,
    subject::DISCONNECTS,
];
/// The number of questions under way at the same time.
const MAX_QUESTIONS: usize = 16;
/// The number of instances that are remembered, unless more work on pending requests.
const MAX_INSTANCES: usize = 1024;
/// The number of agents with a recent death notice that are remembered.
const MAX_AGENTS: usize = 256;

/// Watches the hosts of the requests of `session`, until its connection is closed. While no request is pending, the
/// task waits.
pub(crate) fn start(session: &Session) {
    // Not the session itself, which closes the connection when it is dropped.
    let connection = Connection::clone(&session.connection);
    let questions = Questions {
        records: Arc::clone(&session.records),
        live: Arc::clone(&session.live_connections),
    };
    tokio::spawn(async move {
        let closed = connection.closed();
        let watching = Watcher::new(connection, questions).run();
        closed.run_until_cancelled(watching).await;
    });
}

struct Watcher {
    connection: Connection,
    questions: Questions,
    /// The sweep while requests are pending.
    sweep: Option<Sweep>,
    /// The [mark](crate::transport::Inbox::mark) of the last sweep: earlier requests have waited for an interval.
    mark: u64,
    /// Empty until a request has waited long enough to be probed.
    notices: SelectAll<BoxStream<'static, Notice>>,
    /// The instances that have probed, with the connection that their record names.
    instances: Suspects<InstanceId, Option<ConnectionId>>,
    /// Instances that have probed and whose record was not read yet.
    unread: Vec<InstanceId>,
    /// Agents with a death notice.
    agents: Suspects<AgentName, ()>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Whether a round trip is under way before hosts without a probe count as dead.
    is_catching_up: bool,
}

enum Notice {
    InstanceDown(InstanceId),
    Disconnected(Disconnect),
    Death(AgentName),
}

enum Answer {
    Record(InstanceId, Option<ConnectionId>),
    Looked(InstanceId, Looked),
    /// Whether this agent has no host.
    Agent(AgentName, bool),
    /// Every probe that the server had sent at this time was read. `None` if that is not known.
    CaughtUp(Option<Instant>),
}

impl Notice {
    fn read(message: &async_nats::Message) -> Option<Self> {
        match Subject::parse(&message.subject) {
            Subject::InstanceDown(id) => Some(Self::InstanceDown(id)),
            Subject::Death(name) => Some(Self::Death(name)),
            _ => Disconnect::parse(&message.payload).map(Self::Disconnected),
        }
    }
}

impl Watcher {
    fn new(connection: Connection, questions: Questions) -> Self {
        Self {
            connection,
            questions,
            sweep: None,
            mark: 0,
            notices: SelectAll::new(),
            instances: Suspects::new(),
            unread: Vec::new(),
            agents: Suspects::new(),
            answers: FuturesUnordered::new(),
            is_catching_up: false,
        }
    }

    async fn run(mut self) {
        // A user without a permission has fewer signs of dead hosts: not worth a warning.
        let _listener = self.connection.denials.listen(|denial| {
            let publishes = [CONNECTIONS_SUBJECT, READ_ONE];
            let denies = |action, subjects: &[&str]| {
                subjects
                    .iter()
                    .any(|subject| denial.denies(action, subject))
            };
            denies(Action::Subscribe, &NOTICES) || denies(Action::Publish, &publishes)
        });
        let mut ticks = ticks();
        self.idle();
        loop {
            let is_asking = self.answers.len() >= MAX_QUESTIONS;
            tokio::select! {
                _ = ticks.tick(), if self.sweep.is_some() => self.sweep().await,
                () = woken(&self.connection) => {
                    if self.sweep.is_none() {
                        self.connection.inbox.hosts().set_idle(false);
                        self.sweep = Some(Sweep::start(incarnation(&self.connection)));
                        ticks = self::ticks();
                    }
                    self.read_new_instances().await;
                }
                Some(answer) = self.answers.next() => self.take(answer),
                // Not read while as many questions are under way as may be.
                Some(notice) = self.notices.next(), if !is_asking => self.note(notice),
            }
            self.ask();
        }
    }

    /// Waits for a request if none is pending.
    fn idle(&mut self) -> bool {
        let (connection, hosts) = (&self.connection, self.connection.inbox.hosts());
        let is_idle = || connection.inbox.pending() == 0 && hosts.is_empty();
        if !is_idle() {
            return false;
        }
        hosts.set_idle(true);
        // A request that was made before it could see the flag.
        if !is_idle() {
            hosts.set_idle(false);
            return false;
        }
        self.sweep = None;
        true
    }

    async fn sweep(&mut self) {
        if self.idle() {
            return;
        }
        let now = Instant::now();
        let incarnation = incarnation(&self.connection);
        let gap = self
            .sweep
            .as_mut()
            .and_then(|sweep| sweep.gap(now, incarnation));
        let hosts = self.connection.inbox.hosts();
        match gap {
            Some(time) => hosts.count_from(time),
            None if !self.is_catching_up && hosts.has_silent(now, SILENCE_TIMEOUT) => {
                self.is_catching_up = true;
                self.answers
                    .push(catch_up(self.connection.clone(), now).boxed());
            }
            None => {}
        }
        if let Some(pending) = hosts.forget_instances(MAX_INSTANCES) {
            self.instances.retain(|id| pending.contains(id));
        }
        self.agents.retain(|_| false);
        let has_waited = self.connection.inbox.has_before(self.mark);
        self.mark = self.connection.inbox.mark();
        if has_waited || !hosts.is_empty() {
            self.subscribe().await;
        }
    }

    /// Subscribes to notices with the first request that has waited.
    async fn subscribe(&mut self) {
        if !self.notices.is_empty() {
            return;
        }
        for subject in NOTICES {
            // The connection is closed otherwise, and the task ends.
            if let Ok(messages) = self.connection.subscribe(subject, None).await {
                let notices =
                    messages.filter_map(|message| std::future::ready(Notice::read(&message)));
                self.notices.push(notices.boxed());
            }
        }
    }

    async fn read_new_instances(&mut self) {
        let new = self.connection.inbox.hosts().take_new_instances();
        if new.is_empty() {
            return;
        }
        self.subscribe().await;
        for id in new {
            self.instances.add(id.clone(), None);
            self.unread.push(id);
        }
    }

    fn note(&mut self, notice: Notice) {
        match notice {
            Notice::InstanceDown(id) => self.instances.suspect(&id),
            Notice::Disconnected(disconnect) => {
                let gone = Some(disconnect.connection);
                self.instances.suspect_where(|known| *known == gone);
                if let Some(id) = disconnect.instance {
                    self.instances.suspect(&id);
                }
            }
            Notice::Death(agent) => {
                if self.agents.len() < MAX_AGENTS {
                    self.agents.add(agent.clone(), ());
                }
                self.agents.suspect(&agent);
            }
        }
    }

    /// Asks the questions that are due.
    fn ask(&mut self) {
        while self.answers.len() < MAX_QUESTIONS {
            let questions = self.questions.clone();
            let question = if let Some(id) = self.unread.pop() {
                async move {
                    let named = questions.connection_of(&id).await;
                    Answer::Record(id, named)
                }
                .boxed()
            } else if let Some((id, known)) = self.instances.next_due() {
                async move {
                    let looked = questions.look(&id, known).await;
                    Answer::Looked(id, looked)
                }
                .boxed()
            } else if let Some((agent, ())) = self.agents.next_due() {
                let (inbox, subject) = (&self.connection.inbox, subject::agent(&agent));
                if !inbox.has_unprobed(&subject) && !inbox.hosts().has_unprobed(&subject) {
                    self.agents.answered(&agent);
                    continue;
                }
                async move {
                    let is_unserved = questions.is_unserved(&agent).await;
                    Answer::Agent(agent, is_unserved)
                }
                .boxed()
            } else {
                return;
            };
            self.answers.push(question);
        }
    }

    fn take(&mut self, answer: Answer) {
        let inbox = &self.connection.inbox;
        let failed = match answer {
            Answer::Record(id, named) => {
                self.instances.set_known(&id, named);
                0
            }
            Answer::Looked(id, looked) => {
                self.instances.answered(&id);
                self.instances.set_known(&id, looked.connection);
                match looked.gone_since {
                    Some(time) => inbox.hosts().fail_instance(&id, time),
                    None => 0,
                }
            }
            Answer::Agent(agent, is_unserved) => {
                self.agents.answered(&agent);
                match is_unserved {
                    true => {
                        let subject = subject::agent(&agent);
                        inbox.fail_unserved(&subject) + inbox.hosts().fail_unserved(&subject)
                    }
                    false => 0,
                }
            }
            Answer::CaughtUp(time) => {
                self.is_catching_up = false;
                match time {
                    Some(time) => inbox.hosts().fail_silent(time, SILENCE_TIMEOUT),
                    None => {
                        inbox.hosts().count_from(Instant::now());
                        0
                    }
                }
            }
        };
        if failed > 0 {
            tracing::debug!(requests = failed, "requests failed with their host");
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn woken(connection: &Connection) {
    connection.inbox.hosts().woken().await;
}

/// Resolves when this process has read every probe that the server had sent at `now`.
async fn catch_up(connection: Connection, now: Instant) -> Answer {
    let caught_up = timeout(QUESTION_INTERVAL, connection.inbox.catch_up()).await;
    Answer::CaughtUp(matches!(caught_up, Ok(Ok(()))).then_some(now))
}

fn incarnation(connection: &Connection) -> Incarnation {
    Incarnation {
        is_up: connection.is_up(),
        counts: connection.incarnation(),
    }
}
