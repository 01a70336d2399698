//! The search for the `nats-server` program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openagentmesh_local::{LocalError, NatsServer, NatsServerSearch};

use crate::support::home;
use crate::support::program::{printing_version, write_program};

/// A URL without a server.
const UNREACHABLE_URL: &str = "http://127.0.0.1:1";

/// A search that finds programs in `home` only, and has no reachable release.
pub(crate) fn search(home: &Path) -> NatsServerSearch {
    NatsServerSearch::new()
        .home_directory(home)
        .named(None)
        .search_path("")
        .release_url(UNREACHABLE_URL)
}

/// The path of the installed program.
pub(crate) fn installed(home: &Path) -> PathBuf {
    home.join(".agentmesh/bin/nats-server")
}

/// The text of the [`LocalError::NotInstalled`] in `result`.
pub(crate) fn not_installed(result: Result<NatsServer, LocalError>) -> String {
    let failure = result.unwrap_err();
    assert!(
        matches!(failure, LocalError::NotInstalled { .. }),
        "{failure}"
    );
    failure.to_string()
}

#[tokio::test]
async fn search_with_several_programs_prefers_named_then_path_then_installed() {
    let home = home();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let path: OsString = std::env::join_paths([&first, &second]).unwrap();
    let search = search(home.path()).search_path(path);
    assert_eq!(search.find().await.unwrap(), None);

    write_program(
        &home.path().join(".agentmesh/bin"),
        "nats-server",
        &printing_version("2.10.0"),
    );
    let found = search.find().await.unwrap().unwrap();
    assert_eq!(found.path(), installed(home.path()));
    assert_eq!(found.version().to_string(), "2.10.0");

    let in_second = write_program(&second, "nats-server", &printing_version("2.11.3-RC.1"));
    assert_eq!(search.find().await.unwrap().unwrap().path(), in_second);
    let in_first = write_program(&first, "nats-server", &printing_version("2.12.1"));
    assert_eq!(search.find().await.unwrap().unwrap().path(), in_first);
    let named = write_program(
        &home.path().join("named"),
        "server",
        &printing_version("2.13.0"),
    );
    let search = search.named(Some(named.clone()));
    assert_eq!(search.find().await.unwrap().unwrap().path(), named);
}

#[tokio::test]
async fn old_or_broken_program_is_skipped_and_listed_in_the_error() {
    let home = home();
    let directories: Vec<PathBuf> = ["old", "broken", "silent", "good"]
        .iter()
        .map(|name| home.path().join(name))
        .collect();
    write_program(&directories[0], "nats-server", &printing_version("2.9.25"));
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
    let good = write_program(&directories[3], "nats-server", &printing_version("2.10.0"));
    assert_eq!(search.find().await.unwrap().unwrap().path(), good);
}

#[tokio::test]
async fn unusable_named_program_is_an_error() {
    let home = home();
    write_program(
        &home.path().join(".agentmesh/bin"),
        "nats-server",
        &printing_version("2.15.1"),
    );
    let old = write_program(home.path(), "old", &printing_version("2.9.9"));
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
