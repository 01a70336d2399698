//! The task that looks for dead hosts while requests are pending.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::{AgentName, ConnectionId, InstanceId};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use super::mark::Mark;
use super::notices::{Notice, Notices};
use super::questions::{Looked, Orphans, Questions, State};
use super::suspects::{QUESTION_INTERVAL, Suspects};
use super::sweep::{Incarnation, SILENCE_TIMEOUT, SWEEP_INTERVAL, Sweep};
use super::temporary_monitor::TemporaryMonitor;
use crate::liveness::{CONNECTIONS_SUBJECT, READ_ONE};
use crate::session::Session;
use crate::transport::{Action, Connection, Death};

/// The sweeps for which a request has waited without a probe before it counts as one that no living host has. Hosts probe
/// after 100 ms.
const ORPHAN_SWEEPS: usize = 5;
/// The interval of looks for requests without a probe. Without a monitor, no notice would say that their host is gone.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The time in which a living host probes a request again.
const PROBE_TIMEOUT: Duration = Duration::from_millis(2500);
/// The number of questions under way at the same time.
const MAX_QUESTIONS: usize = 16;
/// The number of instances that are remembered, unless more work on pending requests.
const MAX_INSTANCES: usize = 1024;
/// The number of agents with a recent notice that are remembered, for each kind of notice.
const MAX_AGENTS: usize = 256;

/// Watches the hosts of the requests of `session`, until its connection is closed. While no request is pending, the
/// task waits.
pub(crate) fn start(session: &Session) {
    // Not the session itself, which closes the connection when it is dropped.
    let connection = Connection::clone(&session.connection);
    let (records, live) = (&session.records, &session.live_connections);
    let questions = Questions {
        records: Arc::clone(records),
        live: Arc::clone(live),
    };
    let monitor = TemporaryMonitor {
        connection: connection.clone(),
        records: Arc::clone(records),
        live: Arc::clone(live),
        directory: Arc::clone(&session.directory),
    };
    tokio::spawn(async move {
        let closed = connection.closed();
        let watching = Watcher::new(connection, questions, monitor).run();
        closed.run_until_cancelled(watching).await;
    });
}

struct Watcher {
    connection: Connection,
    questions: Questions,
    monitor: TemporaryMonitor,
    is_monitoring: bool,
    /// The time of the next look for requests that were made before the last one and have had no probe since.
    next_look: Instant,
    last_look: Mark,
    /// The sweep while requests are pending.
    sweep: Option<Sweep>,
    /// The marks of the last sweeps, the newest last.
    marks: VecDeque<Mark>,
    /// The time from which on a request without a probe counts as one that no living host has.
    orphans_from: Instant,
    notices: Notices,
    /// The instances that have probed, with the connection that their record names.
    instances: Suspects<InstanceId, Option<ConnectionId>>,
    /// Instances that have probed and whose record was not read yet.
    unread: Vec<InstanceId>,
    /// Agents with a death notice.
    agents: Suspects<AgentName, ()>,
    /// Agents that have lost an instance, with the instance: others may serve them.
    reduced: Suspects<AgentName, InstanceId>,
    /// Agents of a frozen instance, to which the server still delivers requests.
    frozen: HashMap<AgentName, InstanceId>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Whether a round trip is under way before hosts without a probe count as dead.
    is_catching_up: bool,
}

enum Answer {
    Record(InstanceId, Option<ConnectionId>),
    Looked(InstanceId, Looked),
    /// Whether this agent has no host.
    Agent(AgentName, bool),
    /// The requests to this agent before the mark that have had no probe, after the instance is down.
    Orphans(AgentName, Mark, InstanceId, Orphans),
    /// A monitor has run for some time.
    Monitored,
    /// Every probe of this instance, whose record was removed, that the server had sent at this time was read. `None` if
    /// that is not known.
    Removed(InstanceId, Option<Instant>),
    /// Every probe that the server had sent at this time was read. `None` if that is not known.
    CaughtUp(Option<Instant>),
}

impl Watcher {
    fn new(connection: Connection, questions: Questions, monitor: TemporaryMonitor) -> Self {
        Self {
            connection,
            questions,
            monitor,
            is_monitoring: false,
            next_look: Instant::now(),
            last_look: Mark::default(),
            sweep: None,
            marks: VecDeque::new(),
            orphans_from: Instant::now(),
            notices: Notices::default(),
            instances: Suspects::new(),
            unread: Vec::new(),
            agents: Suspects::new(),
            reduced: Suspects::new(),
            frozen: HashMap::new(),
            answers: FuturesUnordered::new(),
            is_catching_up: false,
        }
    }

    async fn run(mut self) {
        // A user without a permission has fewer signs of dead hosts: not worth a warning.
        let _listener = self.connection.denials.listen(|denial| {
            let mut questions = [CONNECTIONS_SUBJECT, READ_ONE].iter();
            Notices::are_denied_by(denial)
                || questions.any(|subject| denial.denies(Action::Publish, subject))
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
                        self.marks.clear();
                        ticks = self::ticks();
                        self.notices.subscribe_to_first(&self.connection).await;
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
        if now >= self.next_look {
            self.look(now);
        }
        let incarnation = incarnation(&self.connection);
        let gap = self
            .sweep
            .as_mut()
            .and_then(|sweep| sweep.gap(now, incarnation));
        let hosts = self.connection.inbox.hosts();
        match gap {
            Some(time) => {
                hosts.count_from(time);
                self.orphans_from = time + SILENCE_TIMEOUT;
            }
            None if !self.is_catching_up && hosts.has_silent(now, SILENCE_TIMEOUT) => {
                self.is_catching_up = true;
                let caught_up = catch_up(self.connection.clone(), now);
                self.answers.push(caught_up.map(Answer::CaughtUp).boxed());
            }
            None => {}
        }
        if let Some(pending) = hosts.forget_instances(MAX_INSTANCES) {
            self.instances.retain(|id| pending.contains(id));
        }
        self.agents.retain(|_| false);
        self.reduced.retain(|_| false);
        let inbox = &self.connection.inbox;
        let last = self.marks.back();
        let has_waited = last.is_some_and(|mark| mark.has_request(inbox));
        self.marks.push_back(Mark::now(inbox));
        if self.marks.len() > ORPHAN_SWEEPS {
            self.marks.pop_front();
        }
        self.suspect_frozen();
        if has_waited || !self.connection.inbox.hosts().is_empty() {
            self.receive_all().await;
        }
    }

    /// Asks again about agents of a frozen instance: it gets further requests.
    fn suspect_frozen(&mut self) {
        let Some(mark) = self.marks.front() else {
            return;
        };
        let inbox = &self.connection.inbox;
        for (agent, instance) in &self.frozen {
            if mark.has_unprobed(inbox, agent) {
                self.reduced.add(agent.clone(), instance.clone());
                self.reduced.suspect(agent);
            }
        }
    }

    /// Looks for requests without a probe, each of which may have been sent to a host that is gone.
    fn look(&mut self, now: Instant) {
        if self.last_look.has_any_unprobed(&self.connection.inbox) {
            self.run_monitor();
        }
        self.last_look = Mark::now(&self.connection.inbox);
        self.next_look = now + LOOK_INTERVAL;
    }

    /// Runs a monitor for some time, if none of this process does.
    fn run_monitor(&mut self) {
        if !std::mem::replace(&mut self.is_monitoring, true) {
            let running = self.monitor.clone().run();
            self.answers
                .push(running.map(|()| Answer::Monitored).boxed());
        }
    }

    /// Receives all notices from now on.
    async fn receive_all(&mut self) {
        if self.notices.subscribe_to_later(&self.connection).await {
            // An earlier notice was not received.
            self.run_monitor();
        }
    }

    async fn read_new_instances(&mut self) {
        let new = self.connection.inbox.hosts().take_new_instances();
        if new.is_empty() {
            return;
        }
        self.receive_all().await;
        for id in new {
            self.instances.add(id.clone(), None);
            self.unread.push(id);
        }
    }

    fn note(&mut self, notice: Notice) {
        match notice {
            Notice::InstanceDown(id, agents) => {
                self.instances.suspect(&id);
                // The notice may name any number of agents.
                let unprobed = Mark::unprobed_agents(&self.connection.inbox);
                for agent in agents {
                    if self.reduced.len() < MAX_AGENTS && unprobed.contains(&agent) {
                        self.reduced.add(agent.clone(), id.clone());
                    }
                    self.reduced.set_known(&agent, id.clone());
                    self.reduced.suspect(&agent);
                }
            }
            Notice::Disconnected(disconnect) => {
                if disconnect.instance.is_some() && self.connection.inbox.pending() > 0 {
                    self.run_monitor();
                }
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
            let connection = self.connection.clone();
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
                if !Mark::ALL.has_unprobed(&self.connection.inbox, &agent) {
                    self.agents.answered(&agent);
                    continue;
                }
                async move {
                    let is_unserved = questions.is_unserved(&agent).await;
                    Answer::Agent(agent, is_unserved)
                }
                .boxed()
            } else if let Some((agent, gone)) = self.reduced.next_due() {
                let later = self.orphans_later();
                if let Some(time) =
                    later.filter(|_| Mark::ALL.has_unprobed(&connection.inbox, &agent))
                {
                    self.reduced.postponed(&agent, time);
                    continue;
                }
                let Some(mark) = self.orphans(&agent) else {
                    self.reduced.answered(&agent);
                    continue;
                };
                async move {
                    let mut orphans = questions.orphans(&gone, &agent).await;
                    if orphans != Orphans::None && !has_caught_up(&connection).await {
                        orphans = Orphans::None;
                    }
                    Answer::Orphans(agent, mark, gone, orphans)
                }
                .boxed()
            } else {
                return;
            };
            self.answers.push(question);
        }
    }

    /// When to look for orphans, if no request can have waited long enough for a probe yet.
    fn orphans_later(&self) -> Option<Instant> {
        let now = Instant::now();
        let is_early = self.marks.len() < ORPHAN_SWEEPS || now < self.orphans_from;
        is_early.then(|| self.orphans_from.max(now + SWEEP_INTERVAL))
    }

    /// The mark before which requests to `agent` have waited long enough for a probe, if one of them has had none.
    fn orphans(&self, agent: &AgentName) -> Option<Mark> {
        let mark = self.marks.front()?;
        let has_unprobed = mark.has_unprobed(&self.connection.inbox, agent);
        has_unprobed.then_some(*mark)
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
                match looked.state {
                    State::Gone(time) => {
                        let failed = inbox.hosts().fail_instance(&id, time);
                        self.run_monitor();
                        failed
                    }
                    State::Removed => {
                        let caught_up = catch_up(self.connection.clone(), Instant::now());
                        let removed = caught_up.map(|time| Answer::Removed(id, time));
                        self.answers.push(removed.boxed());
                        0
                    }
                    State::Living => 0,
                }
            }
            Answer::Agent(agent, is_unserved) => {
                self.agents.answered(&agent);
                match is_unserved {
                    true => Mark::ALL.fail_unprobed(inbox, &agent, &Death::Unserved),
                    false => 0,
                }
            }
            Answer::Orphans(agent, mark, gone, orphans) => {
                self.reduced.answered(&agent);
                let failed = match orphans {
                    Orphans::None => 0,
                    Orphans::OfGone | Orphans::OfFrozen => {
                        mark.fail_unprobed(inbox, &agent, &Death::Orphaned(gone.clone()))
                    }
                };
                if orphans != Orphans::OfFrozen {
                    self.frozen.remove(&agent);
                } else if self.frozen.len() < MAX_AGENTS {
                    self.frozen.insert(agent, gone);
                }
                failed
            }
            Answer::Monitored => {
                self.is_monitoring = false;
                0
            }
            Answer::Removed(id, time) => {
                let fail = |time| inbox.hosts().fail_silent(Some(&id), time, PROBE_TIMEOUT);
                time.map_or(0, fail)
            }
            Answer::CaughtUp(time) => {
                self.is_catching_up = false;
                match time {
                    Some(time) => {
                        let failed = inbox.hosts().fail_silent(None, time, SILENCE_TIMEOUT);
                        if failed > 0 {
                            self.run_monitor();
                        }
                        failed
                    }
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

/// Returns `now` when this process has read every probe that the server had sent at that time; `None` if that is not known.
async fn catch_up(connection: Connection, now: Instant) -> Option<Instant> {
    has_caught_up(&connection).await.then_some(now)
}

/// Waits until this process has read every probe that the server had sent. `false` if that is not known.
async fn has_caught_up(connection: &Connection) -> bool {
    let caught_up = timeout(QUESTION_INTERVAL, connection.inbox.catch_up()).await;
    matches!(caught_up, Ok(Ok(())))
}

fn incarnation(connection: &Connection) -> Incarnation {
    Incarnation {
        is_up: connection.is_up(),
        counts: connection.incarnation(),
    }
}
