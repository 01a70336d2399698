//! Servers whose owner ends without a word.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{
    Helper, assert_nothing_left, builder, eventually, eventually_nothing_left, home, play,
    start_owner,
};
use sysinfo::Signal;

/// Owns servers until it is killed; started by the tests below.
#[tokio::test]
#[ignore = "a part that the other tests play in a process of its own"]
async fn owner() {
    common::own_two_servers().await;
}

/// An owner that runs, and its two servers with their watchdogs.
async fn watched_owner(home: &Path) -> Helper {
    let owner = start_owner(home).await;
    assert_eq!(common::servers_of(home).len(), 2);
    assert_eq!(common::watchdogs_of(home).len(), 2);
    assert_eq!(common::contents(&home.join(".agentmesh/run")).len(), 2);
    owner
}

/// An owner that is told to end by a signal does so, and nothing is left although nobody starts
/// another server.
async fn ends_by(signal: Signal, number: i32) {
    let home = home();
    let mut owner = watched_owner(home.path()).await;
    common::signal(owner.0.id(), signal);
    let mut status = None;
    eventually("the owner ends", || {
        status = owner.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().signal(), Some(number));
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn nothing_outlives_an_owner_that_ends_by_sigterm() {
    ends_by(Signal::Term, 15).await;
}

#[tokio::test]
async fn nothing_outlives_an_owner_that_ends_by_sigint() {
    ends_by(Signal::Interrupt, 2).await;
}

#[tokio::test]
async fn nothing_outlives_an_owner_that_ends_by_sighup() {
    ends_by(Signal::Hangup, 1).await;
}

#[tokio::test]
async fn nothing_outlives_an_owner_that_ends_by_sigkill() {
    ends_by(Signal::Kill, 9).await;
}

#[tokio::test]
async fn twenty_owners_may_start_at_once_and_die_at_once() {
    let home = home();
    let owners: Vec<Helper> = (0..20)
        .map(|_| Helper(play("owner", home.path())))
        .collect();
    eventually("all servers run", || {
        common::servers_of(home.path()).len() == 40 && common::watchdogs_of(home.path()).len() == 40
    })
    .await;
    for owner in &owners {
        common::signal(owner.0.id(), Signal::Term);
    }
    drop(owners);
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn a_signal_to_everybody_does_not_end_the_watchdog_first() {
    let home = home();
    let mut owner = watched_owner(home.path()).await;
    for signal in [Signal::Hangup, Signal::Interrupt, Signal::Term] {
        for watchdog in common::watchdogs_of(home.path()) {
            common::signal(watchdog, signal);
        }
    }
    assert_eq!(common::watchdogs_of(home.path()).len(), 2);
    common::signal(owner.0.id(), Signal::Term);
    owner.0.wait().unwrap();
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn the_watchdog_tidies_up_after_a_server_that_crashed_before_its_owner() {
    let home = home();
    let owner = watched_owner(home.path()).await;
    for server in common::servers_of(home.path()) {
        common::signal(server, Signal::Kill);
    }
    eventually("the servers are gone", || {
        common::servers_of(home.path()).is_empty()
    })
    .await;
    drop(owner);
    eventually_nothing_left(home.path()).await;
}

#[tokio::test]
async fn stop_and_drop_take_the_watchdog_along() {
    let home = home();
    for stop in [true, false] {
        let server = builder(&home).await.start().await.unwrap();
        let [watchdog] = common::watchdogs_of(home.path())[..] else {
            panic!("one watchdog is expected")
        };
        if stop {
            server.stop().await.unwrap();
        } else {
            drop(server);
        }
        assert_nothing_left(home.path());
        // Not even a zombie.
        let pid = sysinfo::Pid::from_u32(watchdog);
        let mut system = sysinfo::System::new().unwrap();
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
        assert!(system.process(pid).is_none());
    }
}

#[tokio::test]
async fn a_watchdog_that_is_gone_or_suspended_does_not_keep_a_server_from_stopping() {
    let home = home();
    for signal in [Signal::Kill, Signal::Stop] {
        let server = builder(&home).await.start().await.unwrap();
        for watchdog in common::watchdogs_of(home.path()) {
            common::signal(watchdog, signal);
        }
        let asked = Instant::now();
        server.stop().await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(3));
        assert_nothing_left(home.path());
    }
}

/// The directory is no part of the script, so whatever it is called it is what is removed.
#[tokio::test]
async fn any_directory_name_will_do() {
    let home = home();
    let strange = home.path().join("$(touch x) '\"`; #*\n -rf");
    std::fs::create_dir(&strange).unwrap();
    let owner = watched_owner(&strange).await;
    drop(owner);
    eventually_nothing_left(&strange).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn only_the_owner_holds_the_other_end_of_a_watchdogs_pipe() {
    let files = |pid: u32| -> Vec<_> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        entries
            // A file may be closed between being listed and being looked at.
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .collect()
    };
    let home = home();
    // The second server is started while the first one's watchdog is there.
    let _owner = watched_owner(home.path()).await;
    let watchdogs = common::watchdogs_of(home.path());
    for watchdog in &watchdogs {
        let pipe = std::fs::read_link(format!("/proc/{watchdog}/fd/0")).unwrap();
        assert!(pipe.to_string_lossy().starts_with("pipe:"), "{pipe:?}");
        for process in common::processes_of(home.path()) {
            let expected = usize::from(process == *watchdog);
            let held = files(process).iter().filter(|file| **file == pipe).count();
            assert_eq!(held, expected, "{process}");
        }
    }
}
