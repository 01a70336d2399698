//! Watchdogs, which end servers whose owner exits without stopping them.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use sysinfo::Signal;

use crate::support::process::{
    KilledOnDrop, exists, processes_of, servers_of, signal, watchdogs_of,
};
use crate::support::{
    CONDITION_TIMEOUT, assert_nothing_left, builder, contents, eventually, eventually_nothing_left,
    home, nats_server, role,
};

/// Starts an owner of two servers and waits until the servers are ready.
pub(crate) async fn start_owner(home: &Path) -> KilledOnDrop {
    let owner = role::start("owner", home);
    eventually("the owner's servers are ready", || {
        home.join("ready").exists()
    })
    .await;
    owner
}

/// Starts an owner and checks that each of its two servers has a watchdog and a directory.
async fn watched_owner(home: &Path) -> KilledOnDrop {
    let owner = start_owner(home).await;
    assert_eq!(servers_of(home).len(), 2);
    assert_eq!(watchdogs_of(home).len(), 2);
    assert_eq!(contents(&home.join(".agentmesh/run")).len(), 2);
    owner
}

/// Ends an owner by a signal and checks that nothing is left, without a further start.
async fn assert_nothing_left_after(owner_signal: Signal, number: i32) {
    let home = home();
    let mut owner = watched_owner(home.path()).await;
    signal(owner.0.id(), owner_signal);
    assert_eq!(owner.exited().await.signal(), Some(number));
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn owner_ended_by_sigterm_leaves_nothing() {
    assert_nothing_left_after(Signal::Term, 15).await;
}

#[tokio::test]
async fn owner_ended_by_sigint_leaves_nothing() {
    assert_nothing_left_after(Signal::Interrupt, 2).await;
}

#[tokio::test]
async fn owner_ended_by_sighup_leaves_nothing() {
    assert_nothing_left_after(Signal::Hangup, 1).await;
}

#[tokio::test]
async fn owner_ended_by_sigkill_leaves_nothing() {
    assert_nothing_left_after(Signal::Kill, 9).await;
}

#[tokio::test]
async fn twenty_owners_that_start_and_end_concurrently_leave_nothing() {
    let home = home();
    let owners: Vec<KilledOnDrop> = (0..20).map(|_| role::start("owner", home.path())).collect();
    eventually("all servers run", || {
        servers_of(home.path()).len() == 40 && watchdogs_of(home.path()).len() == 40
    })
    .await;
    for owner in &owners {
        signal(owner.0.id(), Signal::Term);
    }
    drop(owners);
    eventually_nothing_left(home.path()).await;
}

/// Whether the process ignores SIGHUP, SIGINT and SIGTERM.
#[cfg(target_os = "linux")]
fn ignores_hup_int_term(pid: u32) -> bool {
    // Bit n - 1 of the hexadecimal mask stands for signal n.
    const HUP_INT_TERM: u64 = 1 | 1 << 1 | 1 << 14;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    ignored & HUP_INT_TERM == HUP_INT_TERM
}

#[tokio::test]
async fn signalled_watchdog_continues_to_run() {
    let home = home();
    let mut owner = watched_owner(home.path()).await;
    // The shell may be slower than the servers: its `trap` must come before the signals.
    #[cfg(target_os = "linux")]
    eventually("the watchdogs ignore the signals", || {
        watchdogs_of(home.path())
            .into_iter()
            .all(ignores_hup_int_term)
    })
    .await;
    for ignored in [Signal::Hangup, Signal::Interrupt, Signal::Term] {
        for watchdog in watchdogs_of(home.path()) {
            signal(watchdog, ignored);
        }
    }
    assert_eq!(watchdogs_of(home.path()).len(), 2);
    signal(owner.0.id(), Signal::Term);
    owner.exited().await;
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn directory_of_a_crashed_server_is_removed_after_its_owner_exits() {
    let home = home();
    let owner = watched_owner(home.path()).await;
    for server in servers_of(home.path()) {
        signal(server, Signal::Kill);
    }
    eventually("the servers are gone", || {
        servers_of(home.path()).is_empty()
    })
    .await;
    drop(owner);
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn stopped_or_dropped_server_has_no_watchdog() {
    let home = home();
    for stop in [true, false] {
        let server = builder(&home).await.start().await.unwrap();
        let [watchdog] = watchdogs_of(home.path())[..] else {
            panic!("expected one watchdog")
        };
        if stop {
            server.stop().await.unwrap();
        } else {
            drop(server);
        }
        assert_nothing_left(home.path());
        assert!(!exists(watchdog), "the watchdog is not even a zombie");
    }
}

#[tokio::test]
async fn server_with_killed_or_suspended_watchdog_stops() {
    let home = home();
    for sent in [Signal::Kill, Signal::Stop] {
        let server = builder(&home).await.start().await.unwrap();
        for watchdog in watchdogs_of(home.path()) {
            signal(watchdog, sent);
        }
        let stopped = tokio::time::timeout(CONDITION_TIMEOUT, server.stop()).await;
        stopped.expect("stop returns").unwrap();
        assert_nothing_left(home.path());
    }
}

/// The directory is an argument of the watchdog's script, so its name needs no quoting.
#[tokio::test]
async fn directory_with_unusual_name_is_removed() {
    let home = home();
    let strange = home.path().join("$(touch x) '\"`; #*\n -rf");
    std::fs::create_dir(&strange).unwrap();
    let owner = watched_owner(&strange).await;
    drop(owner);
    eventually_nothing_left(&strange).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn watchdog_pipe_is_not_inherited_by_other_processes() {
    let files = |pid: u32| -> Vec<_> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        entries
            // A file may be closed after it was listed.
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .collect()
    };
    let home = home();
    // The second server starts while the first watchdog runs.
    let _owner = watched_owner(home.path()).await;
    let watchdogs = watchdogs_of(home.path());
    for watchdog in &watchdogs {
        let pipe = std::fs::read_link(format!("/proc/{watchdog}/fd/0")).unwrap();
        assert!(pipe.to_string_lossy().starts_with("pipe:"), "{pipe:?}");
        for process in processes_of(home.path()) {
            let expected = usize::from(process == *watchdog);
            let held = files(process).iter().filter(|file| **file == pipe).count();
            assert_eq!(held, expected, "{process}");
        }
    }
}

#[tokio::test]
async fn cluster_of_a_killed_owner_is_ended() {
    let home = home();
    nats_server().await;
    let owner = role::start("cluster_owner", home.path());
    eventually("the nodes run", || home.path().join("ready").exists()).await;
    assert_eq!(servers_of(home.path()).len(), 3);
    drop(owner);
    eventually_nothing_left(home.path()).await;
}
