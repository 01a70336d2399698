//! The task that looks for dead hosts while requests are pending.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt, StreamExt};
use openagentmesh_monitor::Disconnect;
use openagentmesh_protocol::{
    AgentName, ConnectionId, InstanceId, InstanceNotice, Subject, subject,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use super::questions::{Looked, Questions};
use super::stand_in::StandIn;
use super::suspects::{QUESTION_INTERVAL, Suspects};
use super::sweep::{Incarnation, SILENCE_TIMEOUT, SWEEP_INTERVAL, Sweep};
use crate::liveness::{CONNECTIONS_SUBJECT, READ_ONE};
use crate::session::Session;
use crate::transport::{Action, Connection, Death, Inbox};

/// The sweeps for which a request has waited without a probe before it counts as one that no living host has. Hosts probe
/// after 100 ms.
const ORPHAN_SWEEPS: usize = 3;
/// The subject of notices that are received from the first request on.
const FIRST_NOTICES: [&str; 1] = [subject::ALL_INSTANCES_DOWN];
/// The subjects of notices that are received from the first request on that has waited.
const LATER_NOTICES: [&str; 2] = [subject::ALL_DEATHS, subject::DISCONNECTS];
/// The interval of looks for requests without a probe. Without a monitor, no notice would say that their host is gone.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
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
    let stand_in = StandIn {
        connection: connection.clone(),
        records: Arc::clone(records),
        live: Arc::clone(live),
        directory: Arc::clone(&session.directory),
    };
    tokio::spawn(async move {
        let closed = connection.closed();
        let watching = Watcher::new(connection, questions, stand_in).run();
        closed.run_until_cancelled(watching).await;
    });
}

struct Watcher {
    connection: Connection,
    questions: Questions,
    stand_in: StandIn,
    is_standing_in: bool,
    /// The time of the next look for requests that were made before the last one and have had no probe since.
    next_look: Instant,
    last_look: Mark,
    /// The sweep while requests are pending.
    sweep: Option<Sweep>,
    /// The marks of the last sweeps, the newest last.
    marks: VecDeque<Mark>,
    /// The time from which on a request without a probe counts as one that no living host has.
    orphans_from: Instant,
    notices: SelectAll<BoxStream<'static, Notice>>,
    /// Whether the [`LATER_NOTICES`] are received.
    receives_all: bool,
    /// The instances that have probed, with the connection that their record names.
    instances: Suspects<InstanceId, Option<ConnectionId>>,
    /// Instances that have probed and whose record was not read yet.
    unread: Vec<InstanceId>,
    /// Agents with a death notice.
    agents: Suspects<AgentName, ()>,
    /// Agents of an instance that is down, with the instance: other hosts may serve them.
    bereaved: Suspects<AgentName, InstanceId>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Whether a round trip is under way before hosts without a probe count as dead.
    is_catching_up: bool,
}

/// Separates the requests before some time from later ones.
#[derive(Clone, Copy, Default)]
struct Mark {
    inbox: u64,
    hosts: u64,
}

impl Mark {
    /// Selects all requests.
    const ALL: Self = Self {
        inbox: u64::MAX,
        hosts: u64::MAX,
    };

    fn now(inbox: &Inbox) -> Self {
        Self {
            inbox: inbox.mark(),
            hosts: inbox.hosts().mark(),
        }
    }

    fn has_unprobed(self, inbox: &Inbox, agent: &AgentName) -> bool {
        let subject = subject::agent(agent);
        inbox.has_unprobed(&subject, self.inbox) || inbox.hosts().has_unprobed(&subject, self.hosts)
    }

    /// Fails the requests to `agent` before the mark that have had no probe. Returns their number.
    fn fail_unprobed(self, inbox: &Inbox, agent: &AgentName, death: &Death) -> usize {
        let subject = subject::agent(agent);
        inbox.fail_unprobed(&subject, self.inbox, death)
            + inbox.hosts().fail_unprobed(&subject, self.hosts, death)
    }
}

enum Notice {
    InstanceDown(InstanceId, Vec<AgentName>),
    Disconnected(Disconnect),
    Death(AgentName),
}

enum Answer {
    Record(InstanceId, Option<ConnectionId>),
    Looked(InstanceId, Looked),
    /// Whether this agent has no host.
    Agent(AgentName, bool),
    /// The requests to this agent before the mark that have had no probe were with the instance, if one is given.
    Bereaved(AgentName, Mark, Option<InstanceId>),
    /// A monitor has run for some time.
    StoodIn,
    /// Every probe that the server had sent at this time was read. `None` if that is not known.
    CaughtUp(Option<Instant>),
}

impl Notice {
    fn read(message: &async_nats::Message) -> Option<Self> {
        match Subject::parse(&message.subject) {
            Subject::InstanceDown(id) => {
                let notice = serde_json::from_slice::<InstanceNotice>(&message.payload);
                let agents = notice.map_or_else(|_| Vec::new(), |notice| notice.agents);
                Some(Self::InstanceDown(id, agents))
            }
            Subject::Death(name) => Some(Self::Death(name)),
            _ => Disconnect::parse(&message.payload).map(Self::Disconnected),
        }
    }
}

impl Watcher {
    fn new(connection: Connection, questions: Questions, stand_in: StandIn) -> Self {
        Self {
            connection,
            questions,
            stand_in,
            is_standing_in: false,
            next_look: Instant::now(),
            last_look: Mark::default(),
            sweep: None,
            marks: VecDeque::new(),
            orphans_from: Instant::now(),
            notices: SelectAll::new(),
            receives_all: false,
            instances: Suspects::new(),
            unread: Vec::new(),
            agents: Suspects::new(),
            bereaved: Suspects::new(),
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
            denies(Action::Subscribe, &FIRST_NOTICES)
                || denies(Action::Subscribe, &LATER_NOTICES)
                || denies(Action::Publish, &publishes)
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
                        if self.notices.is_empty() {
                            self.receive(&FIRST_NOTICES).await;
                        }
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
                self.answers
                    .push(catch_up(self.connection.clone(), now).boxed());
            }
            None => {}
        }
        if let Some(pending) = hosts.forget_instances(MAX_INSTANCES) {
            self.instances.retain(|id| pending.contains(id));
        }
        self.agents.retain(|_| false);
        self.bereaved.retain(|_| false);
        let inbox = &self.connection.inbox;
        let last = self.marks.back();
        let has_waited = last.is_some_and(|mark| inbox.has_before(mark.inbox));
        self.marks.push_back(Mark::now(inbox));
        if self.marks.len() > ORPHAN_SWEEPS {
            self.marks.pop_front();
        }
        if has_waited || !hosts.is_empty() {
            self.receive_all().await;
        }
    }

    /// Looks for requests without a probe, each of which may have been sent to a host that is gone.
    fn look(&mut self, now: Instant) {
        if self.connection.inbox.has_any_unprobed(self.last_look.inbox) {
            self.stand_in();
        }
        self.last_look = Mark::now(&self.connection.inbox);
        self.next_look = now + LOOK_INTERVAL;
    }

    /// Runs a monitor for some time, if none of this process does.
    fn stand_in(&mut self) {
        if !std::mem::replace(&mut self.is_standing_in, true) {
            let running = self.stand_in.clone().run();
            self.answers.push(running.map(|()| Answer::StoodIn).boxed());
        }
    }

    async fn receive_all(&mut self) {
        if !std::mem::replace(&mut self.receives_all, true) {
            self.receive(&LATER_NOTICES).await;
            // An earlier notice was not received.
            self.stand_in();
        }
    }

    async fn receive(&mut self, subjects: &[&'static str]) {
        for &subject in subjects {
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
                let inbox = &self.connection.inbox;
                for agent in agents {
                    if self.bereaved.len() < MAX_AGENTS && Mark::ALL.has_unprobed(inbox, &agent) {
                        self.bereaved.add(agent.clone(), id.clone());
                    }
                    self.bereaved.set_known(&agent, id.clone());
                    self.bereaved.suspect(&agent);
                }
            }
            Notice::Disconnected(disconnect) => {
                if disconnect.instance.is_some() && self.connection.inbox.pending() > 0 {
                    self.stand_in();
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
            } else if let Some((agent, gone)) = self.bereaved.next_due() {
                let Some(mark) = self.orphans(&agent) else {
                    self.bereaved.answered(&agent);
                    continue;
                };
                async move {
                    let is_orphaned = questions.leaves_orphans(&gone, &agent).await
                        && has_caught_up(&connection).await;
                    Answer::Bereaved(agent, mark, is_orphaned.then_some(gone))
                }
                .boxed()
            } else {
                return;
            };
            self.answers.push(question);
        }
    }

    /// The mark before which requests to `agent` have waited long enough for a probe, if one of them has had none.
    fn orphans(&self, agent: &AgentName) -> Option<Mark> {
        let is_old = self.marks.len() == ORPHAN_SWEEPS && Instant::now() >= self.orphans_from;
        let mark = self.marks.front().filter(|_| is_old)?;
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
                match looked.gone_since {
                    Some(time) => {
                        let failed = inbox.hosts().fail_instance(&id, time);
                        self.stand_in();
                        failed
                    }
                    None => 0,
                }
            }
            Answer::Agent(agent, is_unserved) => {
                self.agents.answered(&agent);
                match is_unserved {
                    true => Mark::ALL.fail_unprobed(inbox, &agent, &Death::Unserved),
                    false => 0,
                }
            }
            Answer::Bereaved(agent, mark, gone) => {
                self.bereaved.answered(&agent);
                gone.map_or(0, |gone| {
                    mark.fail_unprobed(inbox, &agent, &Death::Orphaned(gone))
                })
            }
            Answer::StoodIn => {
                self.is_standing_in = false;
                0
            }
            Answer::CaughtUp(time) => {
                self.is_catching_up = false;
                match time {
                    Some(time) => {
                        let failed = inbox.hosts().fail_silent(time, SILENCE_TIMEOUT);
                        if failed > 0 {
                            self.stand_in();
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

/// Resolves when this process has read every probe that the server had sent at `now`.
async fn catch_up(connection: Connection, now: Instant) -> Answer {
    Answer::CaughtUp(has_caught_up(&connection).await.then_some(now))
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
