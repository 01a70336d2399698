//! Directories of detached servers that crashed or whose start was killed.

use sysinfo::Signal;

use crate::support::detached_home::DetachedHome;
use crate::support::process::{processes_of, signal};
use crate::support::{assert_nothing_left, eventually};

#[tokio::test]
async fn directory_of_a_crashed_server_is_removed() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    signal(server.pid(), Signal::Kill);
    eventually("the server is gone", || {
        processes_of(home.path()).is_empty()
    })
    .await;

    assert!(server.directory().exists());
    assert_eq!(settings.list().await.unwrap(), []);
    assert_nothing_left(home.path());
}

#[tokio::test]
async fn server_without_a_record_is_ended() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    // The starter was killed just before it wrote the record.
    std::fs::remove_file(server.directory().join("mesh.json")).unwrap();
    assert_eq!(settings.list().await.unwrap(), []);
    assert_nothing_left(home.path());
}

#[cfg(unix)]
#[tokio::test]
async fn process_with_the_id_of_a_dead_server_is_not_killed() {
    let home = DetachedHome::new();
    let settings = home.settings().await;
    let server = settings.clone().start().await.unwrap();
    let record = std::fs::read_to_string(server.directory().join("mesh.json")).unwrap();
    server.stop().await.unwrap();

    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let abandoned = server.directory();
    std::fs::create_dir(abandoned).unwrap();
    let pid = |id: u32| format!("\"pid\": {id}");
    let record = record.replace(&pid(server.pid()), &pid(other.id()));
    std::fs::write(abandoned.join("mesh.json"), record).unwrap();
    let listed = settings.list().await;
    server.stop().await.unwrap();
    let spared = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(listed.unwrap(), []);
    assert!(spared);
    assert_nothing_left(home.path());
}
