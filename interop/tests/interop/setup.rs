//! The setup of the environments, and its errors.

use std::ffi::OsStr;
#[cfg(unix)]
use std::path::Path;

use interop::environment::{self, SetupError};
use interop::python::{self, NoPython};
use interop::{PeerError, Sdk};
use serde_json::json;

use crate::common::python_process;

/// Stand-ins for Python interpreters.
#[cfg(unix)]
const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pythons");

#[cfg(unix)]
fn path_of(names: &[&str]) -> std::ffi::OsString {
    std::env::join_paths(names.iter().map(|name| Path::new(STAND_INS).join(name))).unwrap()
}

fn names_the_missing_packages_in_one_sentence(error: &impl std::error::Error) {
    let sentence = error.to_string();
    assert!(sentence.contains("install "), "{sentence}");
    assert!(sentence.contains("python3-venv"), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
}

#[test]
fn setup_without_python_names_the_missing_packages() {
    let directory = tempfile::tempdir().unwrap();
    let error = environment::prepare(Sdk::V0_2_0, directory.path(), OsStr::new("")).unwrap_err();
    let SetupError::NoPython(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error, NoPython::Missing);
    names_the_missing_packages_in_one_sentence(&error);
    assert!(!directory.path().join("openagentmesh-0.2.0").exists());
}

#[cfg(unix)]
#[test]
fn python_that_does_not_run_is_ignored() {
    assert_eq!(python::find(&path_of(&["broken"])), Err(NoPython::Missing));
}

#[cfg(unix)]
#[test]
fn too_old_python_is_named_with_its_version() {
    let error = python::find(&path_of(&["broken", "too-old"])).unwrap_err();
    assert!(matches!(
        &error,
        NoPython::TooOld {
            version: (3, 9),
            ..
        }
    ));
    names_the_missing_packages_in_one_sentence(&error);
    assert!(error.to_string().contains("3.9"), "{error}");
}

#[cfg(unix)]
#[test]
fn python_without_venv_is_named_rather_than_an_older_one() {
    let error = python::find(&path_of(&["too-old", "bare"])).unwrap_err();
    assert!(matches!(
        &error,
        NoPython::Bare {
            version: (3, 12),
            ..
        }
    ));
    names_the_missing_packages_in_one_sentence(&error);
}

#[cfg(unix)]
#[test]
fn failed_environment_names_the_missing_packages() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_of(&["no-ensurepip"]);
    let error = environment::prepare(Sdk::V0_2_0, directory.path(), &path).unwrap_err();
    assert!(matches!(&error, SetupError::NoEnvironment { .. }));
    names_the_missing_packages_in_one_sentence(&error);
    assert!(
        error.to_string().contains("ensurepip is not available"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn missing_package_fails_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_of(&["no-index"]);
    for _ in 0..2 {
        let error = environment::prepare(Sdk::V0_1_5, directory.path(), &path).unwrap_err();
        assert!(matches!(&error, SetupError::NotInstalled { .. }), "{error}");
        let sentence = error.to_string();
        assert!(sentence.contains("openagentmesh 0.1.5"), "{sentence}");
        assert!(sentence.contains("No matching distribution"), "{sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[cfg(unix)]
#[test]
fn environment_is_created_once_and_again_if_incomplete() {
    let directory = tempfile::tempdir().unwrap();
    let prepare = || {
        let path = path_of(&["whole"]);
        environment::prepare(Sdk::V0_2_0, directory.path(), &path).unwrap()
    };
    let made = || {
        let notes = std::fs::read_to_string(directory.path().join("made"));
        notes.unwrap().lines().count()
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(prepare);
        }
    });
    assert_eq!(made(), 1, "four concurrent preparations create one");

    let home = directory.path().join("openagentmesh-0.2.0");
    let interpreter = prepare();
    assert!(interpreter.starts_with(&home));
    assert_eq!(made(), 1);
    std::fs::remove_file(home.join("complete")).unwrap();
    prepare();
    assert_eq!(made(), 2, "an interrupted creation is repeated");
    std::fs::remove_file(&interpreter).unwrap();
    prepare();
    assert_eq!(made(), 3, "a missing interpreter is replaced");
}

#[tokio::test]
async fn ended_peer_reports_its_status_and_output() {
    let mut peer = python_process(Sdk::V0_2_0).await;
    let error = peer.ask("exit", json!({"reason": "gave up"})).await;
    let error = error.unwrap_err();
    assert!(matches!(&error, PeerError::Ended { .. }), "{error}");
    let message = error.to_string();
    for part in ["openagentmesh 0.2.0", "'exit'", "exit status: 1", "gave up"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn raising_peer_reports_its_exception() {
    let mut peer = python_process(Sdk::V0_1_5).await;
    // No server listens on this port.
    let url = json!({"url": "nats://127.0.0.1:9"});
    let error = peer.ask("connect", url).await.unwrap_err();
    let PeerError::Raised { raised, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(raised.code.as_deref(), Some("connection_failed"));
    assert!(
        error.to_string().contains("raised MeshError in 'connect'"),
        "{error}"
    );
}
