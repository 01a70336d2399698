//! The hosts of pending requests, as their probes name them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Subject;
use openagentmesh_protocol::subject::requested_agent;
use openagentmesh_protocol::{AgentName, ErrorCode, InstanceId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Error;
use crate::util::sync::Mutex;

/// The pending requests that a host has probed, and those of senders that wait for a callback. Written where a probe
/// arrives, read by the task that looks for dead hosts. A request that is answered before its first probe is never here,
/// unless a callback waits for its reply.
#[derive(Default)]
pub(crate) struct HostWatch {
    state: Mutex<State>,
    next_number: AtomicU64,
    /// Whether the task waits for a request. Read by every request.
    is_idle: AtomicBool,
    /// Wakes the task: a request was made while the task was idle, or an instance has probed for the first time.
    wake: Notify,
}

#[derive(Default)]
struct State {
    requests: HashMap<u64, Watched>,
    /// The instances that have probed. The task removes those without a pending request when there are many.
    instances: HashSet<InstanceId>,
    /// Those among them that the task has not taken yet.
    new_instances: Vec<InstanceId>,
}

struct Watched {
    /// The subject of the request.
    request: Subject,
    /// `None` until the first probe.
    host: Option<Host>,
    fail: Fail,
}

/// The number of instances that the probes of one request may name: each is looked up. A request has one host, and another one
/// after each host that has died.
const MAX_INSTANCES_OF_REQUEST: u32 = 16;

struct Host {
    /// How many instances have probed the request, counted up to the limit.
    instances: u32,
    /// The instance that sent the last probe. `None` for a host that does not name itself.
    instance: Option<InstanceId>,
    /// The time of the last probe.
    probed: Instant,
    /// The time from which on missing probes count: that of the last probe, or a later one.
    counts_from: Instant,
}

/// Whether a request on `subject` is for the same agent as one on `request`, which is the subject of an agent.
pub(super) fn is_for(subject: &str, request: &str) -> bool {
    subject == request
        || (subject.starts_with("mesh.instance.")
            && requested_agent(subject) == requested_agent(request))
}

/// Fails a request.
type Fail = Box<dyn FnOnce(Death) + Send>;

/// The reason why the host of a request counts as dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Death {
    /// The connection of the instance is gone.
    Gone(InstanceId),
    /// Probes of the instance, if it is known, are missing for this time.
    Silent(Option<InstanceId>, Duration),
    /// No connection subscribes to the agent's requests after a notice of its death.
    Unserved,
    /// The instance died, and no living host of the agent has probed the request.
    Orphaned(InstanceId),
}

impl Death {
    /// The error of a request to subject `request`.
    pub(crate) fn to_error(&self, request: &str) -> Error {
        let agent = requested_agent(request);
        let agent = agent.as_ref().map_or(request, AgentName::as_str);
        let (cause, instance) = match self {
            Self::Gone(instance) => (
                format!("instance {instance} lost its connection before it had replied"),
                Some(instance),
            ),
            Self::Silent(instance, silence) => {
                let of = instance.as_ref().map_or("the host".to_owned(), |instance| {
                    format!("instance {instance}")
                });
                let seconds = silence.as_secs();
                (
                    format!("{of} has sent no probe for {seconds} s and had not replied"),
                    instance.as_ref(),
                )
            }
            Self::Orphaned(instance) => (
                format!("instance {instance} died, and no other host has the request"),
                Some(instance),
            ),
            Self::Unserved => (
                "the connection of its last host is gone and no reply had arrived".to_owned(),
                None,
            ),
        };
        let error = Error::raised(
            ErrorCode::AgentDied,
            format!(
                "agent '{agent}' died: {cause}; the handler may have run: send the request again if the agent is \
                 idempotent"
            ),
        );
        match instance {
            Some(instance) => error.with_detail("instance_id", instance.as_str()),
            None => error,
        }
    }
}

impl HostWatch {
    /// Adds a request to subject `request`, which `fail` fails, until the guard is dropped. `fail` must not block.
    pub(crate) fn add(
        self: &Arc<Self>,
        request: Subject,
        fail: impl FnOnce(Death) + Send + 'static,
    ) -> WatchGuard {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let watched = Watched {
            request,
            host: None,
            fail: Box::new(fail),
        };
        self.state.lock().requests.insert(number, watched);
        WatchGuard {
            watch: Arc::clone(self),
            number,
        }
    }

    /// Wakes the task if it is idle. Called after a request was made.
    pub(crate) fn request_made(&self) {
        if self.is_idle.load(Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// Whether the task is idle: the next request wakes it. The task checks for requests after it has set this.
    pub(crate) fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
    }

    /// Resolves when there may be more to do for the task. Cancel-safe.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().requests.is_empty()
    }

    /// The instances that have probed for the first time since the last call.
    pub(crate) fn take_new_instances(&self) -> Vec<InstanceId> {
        std::mem::take(&mut self.state.lock().new_instances)
    }

    /// Forgets instances without a pending request when there are more than `limit`. Returns the others then.
    pub(crate) fn forget_instances(&self, limit: usize) -> Option<HashSet<InstanceId>> {
        let mut state = self.state.lock();
        if state.instances.len() <= limit {
            return None;
        }
        let hosts = state.requests.values();
        let hosts = hosts.filter_map(|watched| watched.host.as_ref());
        state.instances = hosts.filter_map(|host| host.instance.clone()).collect();
        Some(state.instances.clone())
    }

    /// Whether a host that has probed a request has sent no probe for `timeout` before `now`.
    pub(crate) fn has_silent(&self, now: Instant, timeout: Duration) -> bool {
        let state = self.state.lock();
        let mut requests = state.requests.values();
        requests.any(|watched| watched.is_silent(now, timeout))
    }

    /// Fails the requests whose host, `instance` if one is given, has sent no probe for `timeout` before `now`, nor since.
    /// Returns their number.
    pub(crate) fn fail_silent(
        &self,
        instance: Option<&InstanceId>,
        now: Instant,
        timeout: Duration,
    ) -> usize {
        self.fail_all(
            |_, watched| {
                let host = watched.host.as_ref();
                let of = host.and_then(|host| host.instance.as_ref());
                (instance.is_none() || of == instance) && watched.is_silent(now, timeout)
            },
            |watched| {
                let host = watched.host.as_ref();
                let silence = host.map_or(timeout, |host| now - host.counts_from);
                Death::Silent(host.and_then(|host| host.instance.clone()), silence)
            },
        )
    }

    /// Counts missing probes from `time` on, where they counted from an earlier time.
    pub(crate) fn count_from(&self, time: Instant) {
        for watched in self.state.lock().requests.values_mut() {
            if let Some(host) = &mut watched.host {
                host.counts_from = host.counts_from.max(time);
            }
        }
    }

    /// Fails the requests on which instance `id` works and that it has not probed since `time`. Returns their number.
    pub(crate) fn fail_instance(&self, id: &InstanceId, time: Instant) -> usize {
        self.fail_all(
            |_, watched| {
                let host = watched.host.as_ref();
                host.is_some_and(|host| host.instance.as_ref() == Some(id) && host.probed < time)
            },
            |_| Death::Gone(id.clone()),
        )
    }

    /// A mark between the requests that were added before and those added later.
    pub(crate) fn mark(&self) -> u64 {
        self.next_number.load(Ordering::Relaxed)
    }

    /// Whether a request to subject `request` that was added before `mark` has had no probe.
    pub(crate) fn has_unprobed(&self, request: &str, mark: u64) -> bool {
        let state = self.state.lock();
        let mut requests = state.requests.iter();
        requests.any(|(&number, watched)| number < mark && watched.is_unprobed(request))
    }

    /// The subjects of the requests that have had no probe.
    pub(crate) fn unprobed_requests(&self) -> Vec<Subject> {
        let state = self.state.lock();
        let requests = state.requests.values();
        let unprobed = requests.filter(|watched| watched.host.is_none());
        unprobed.map(|watched| watched.request.clone()).collect()
    }

    /// Fails the requests to subject `request` that were added before `mark` and have had no probe. Returns their number.
    pub(crate) fn fail_unprobed(&self, request: &str, mark: u64, death: &Death) -> usize {
        self.fail_all(
            |number, watched| number < mark && watched.is_unprobed(request),
            |_| death.clone(),
        )
    }

    fn fail_all(
        &self,
        is_selected: impl Fn(u64, &Watched) -> bool,
        death: impl Fn(&Watched) -> Death,
    ) -> usize {
        let failed: Vec<Watched> = {
            let mut state = self.state.lock();
            let requests = &mut state.requests;
            let failed = requests.extract_if(|&number, watched| is_selected(number, watched));
            failed.map(|(_, watched)| watched).collect()
        };
        let count = failed.len();
        // Without the lock: the end of a request drops its guard.
        for watched in failed {
            let death = death(&watched);
            (watched.fail)(death);
        }
        count
    }
}

impl Watched {
    fn is_unprobed(&self, request: &str) -> bool {
        self.host.is_none() && is_for(&self.request, request)
    }

    fn is_silent(&self, now: Instant, timeout: Duration) -> bool {
        let host = self.host.as_ref();
        host.is_some_and(|host| now.saturating_duration_since(host.counts_from) >= timeout)
    }
}

/// A request in a [`HostWatch`], until it is dropped.
pub(crate) struct WatchGuard {
    watch: Arc<HostWatch>,
    number: u64,
}

impl WatchGuard {
    /// Instance `instance`, if it names itself, has probed the request.
    pub(crate) fn probed(&self, instance: Option<&str>) {
        let now = Instant::now();
        let mut state = self.watch.state.lock();
        let State {
            requests,
            instances,
            new_instances,
        } = &mut *state;
        let Some(watched) = requests.get_mut(&self.number) else {
            return;
        };
        let host = watched.host.get_or_insert(Host {
            instances: 0,
            instance: None,
            probed: now,
            counts_from: now,
        });
        host.probed = now;
        host.counts_from = now.max(host.counts_from);
        if host.instance.as_ref().map(InstanceId::as_str) == instance {
            return;
        }
        if host.instances == MAX_INSTANCES_OF_REQUEST {
            return;
        }
        host.instance = instance.and_then(|id| InstanceId::parse(id).ok());
        let Some(id) = &host.instance else { return };
        host.instances += 1;
        if instances.insert(id.clone()) {
            new_instances.push(id.clone());
            self.watch.wake.notify_one();
        }
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let watched = self.watch.state.lock().requests.remove(&self.number);
        // Dropped without the lock.
        drop(watched);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::advance;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(6);
    const SECOND: Duration = Duration::from_secs(1);

    fn watched(watch: &Arc<HostWatch>, agent: &str) -> (WatchGuard, UnboundedReceiver<Death>) {
        let (sender, receiver) = unbounded_channel();
        let request = format!("mesh.agent.{agent}").into();
        let guard = watch.add(request, move |death| drop(sender.send(death)));
        (guard, receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn request_fails_when_probes_are_missing() {
        let watch = Arc::<HostWatch>::default();
        let (silent, mut silent_death) = watched(&watch, "a");
        let (probed, mut probed_death) = watched(&watch, "a");
        let (_unprobed, mut unprobed_death) = watched(&watch, "a");
        silent.probed(Some("one"));
        for _ in 0..6 {
            assert!(!watch.has_silent(Instant::now(), TIMEOUT));
            assert_eq!(watch.fail_silent(None, Instant::now(), TIMEOUT), 0);
            probed.probed(Some("two"));
            advance(SECOND).await;
        }
        assert!(watch.has_silent(Instant::now(), TIMEOUT));
        assert_eq!(watch.fail_silent(None, Instant::now(), TIMEOUT), 1);
        let one = InstanceId::parse("one").unwrap();
        let death = silent_death.try_recv().unwrap();
        assert_eq!(death, Death::Silent(Some(one), TIMEOUT));
        assert!(probed_death.try_recv().is_err());
        assert!(unprobed_death.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn missing_probes_count_again_after_a_gap() {
        let watch = Arc::<HostWatch>::default();
        let (guard, _death) = watched(&watch, "a");
        guard.probed(None);
        advance(SECOND * 60).await;
        watch.count_from(Instant::now() + SECOND * 4);
        advance(SECOND * 9).await;
        assert!(!watch.has_silent(Instant::now(), TIMEOUT));
        advance(SECOND).await;
        assert!(watch.has_silent(Instant::now(), TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn death_of_an_instance_fails_its_requests_only() {
        let watch = Arc::<HostWatch>::default();
        let (dead, mut death) = watched(&watch, "a");
        let (living, mut living_death) = watched(&watch, "a");
        let (later, mut later_death) = watched(&watch, "a");
        dead.probed(Some("one"));
        living.probed(Some("two"));
        advance(SECOND).await;
        let looked = Instant::now();
        later.probed(Some("one"));
        let one = InstanceId::parse("one").unwrap();
        assert_eq!(watch.fail_instance(&one, looked), 1);
        assert_eq!(death.try_recv().unwrap(), Death::Gone(one));
        assert!(living_death.try_recv().is_err());
        assert!(later_death.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn death_of_an_agent_fails_requests_without_a_probe_only() {
        let watch = Arc::<HostWatch>::default();
        let (_unprobed, mut death) = watched(&watch, "a");
        let (_other, mut other_death) = watched(&watch, "b");
        let (probed, mut probed_death) = watched(&watch, "a");
        probed.probed(None);
        let mark = watch.mark();
        let (_later, mut later_death) = watched(&watch, "a");
        assert!(watch.has_unprobed("mesh.agent.a", mark));
        let failed = watch.fail_unprobed("mesh.agent.a", mark, &Death::Unserved);
        assert_eq!(failed, 1);
        assert!(!watch.has_unprobed("mesh.agent.a", mark));
        assert!(later_death.try_recv().is_err());
        assert_eq!(death.try_recv().unwrap(), Death::Unserved);
        assert!(other_death.try_recv().is_err());
        assert!(probed_death.try_recv().is_err());
    }

    #[test]
    fn probes_of_one_request_name_a_bounded_number_of_instances() {
        let watch = Arc::<HostWatch>::default();
        let (guard, _death) = watched(&watch, "a");
        for number in 0..1000 {
            guard.probed(Some(&format!("instance-{number}")));
        }
        let limit = usize::try_from(MAX_INSTANCES_OF_REQUEST).unwrap();
        assert_eq!(watch.take_new_instances().len(), limit);
    }

    #[test]
    fn dropped_guard_ends_the_watch() {
        let watch = Arc::<HostWatch>::default();
        let (guard, _death) = watched(&watch, "a");
        drop(guard);
        assert!(watch.is_empty());
    }
}
