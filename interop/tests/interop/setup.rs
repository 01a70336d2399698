//! Making the environments that the peers run in, and what a machine that cannot is told.

use std::ffi::OsStr;
#[cfg(unix)]
use std::path::Path;

use interop::environment::{self, SetupError};
use interop::python::{self, NoPython};
use interop::{PeerError, Sdk};
use serde_json::json;

use crate::common::python_process;

/// Programs that stand for Pythons.
#[cfg(unix)]
const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pythons");

#[cfg(unix)]
fn path_of(names: &[&str]) -> std::ffi::OsString {
    std::env::join_paths(names.iter().map(|name| Path::new(STAND_INS).join(name))).unwrap()
}

fn is_one_sentence_that_says_what_to_install(error: &impl std::error::Error) {
    let sentence = error.to_string();
    assert!(sentence.contains("install "), "{sentence}");
    assert!(sentence.contains("python3-venv"), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
}

#[test]
fn without_python_the_setup_fails_and_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    let error = environment::prepare(Sdk::V0_2_0, directory.path(), OsStr::new("")).unwrap_err();
    let SetupError::NoPython(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error, NoPython::Missing);
    is_one_sentence_that_says_what_to_install(&error);
    assert!(!directory.path().join("openagentmesh-0.2.0").exists());
}

#[cfg(unix)]
#[test]
fn a_python_that_does_not_run_is_none() {
    assert_eq!(python::find(&path_of(&["broken"])), Err(NoPython::Missing));
}

#[cfg(unix)]
#[test]
fn a_python_that_is_too_old_is_named_with_its_version() {
    let error = python::find(&path_of(&["broken", "too-old"])).unwrap_err();
    assert!(matches!(
        &error,
        NoPython::TooOld {
            version: (3, 9),
            ..
        }
    ));
    is_one_sentence_that_says_what_to_install(&error);
    assert!(error.to_string().contains("3.9"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_python_without_venv_is_named_even_after_an_older_one() {
    let error = python::find(&path_of(&["too-old", "bare"])).unwrap_err();
    assert!(matches!(
        &error,
        NoPython::Bare {
            version: (3, 12),
            ..
        }
    ));
    is_one_sentence_that_says_what_to_install(&error);
}

#[cfg(unix)]
#[test]
fn an_environment_that_cannot_be_made_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_of(&["no-ensurepip"]);
    let error = environment::prepare(Sdk::V0_2_0, directory.path(), &path).unwrap_err();
    assert!(matches!(&error, SetupError::NoEnvironment { .. }));
    is_one_sentence_that_says_what_to_install(&error);
    assert!(
        error.to_string().contains("ensurepip is not available"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_package_that_cannot_be_had_fails_each_time() {
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
fn an_environment_is_made_once_and_again_when_it_is_not_whole() {
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
    assert_eq!(made(), 1, "four at once");

    let home = directory.path().join("openagentmesh-0.2.0");
    let interpreter = prepare();
    assert!(interpreter.starts_with(&home));
    assert_eq!(made(), 1);
    std::fs::remove_file(home.join("complete")).unwrap();
    prepare();
    assert_eq!(made(), 2, "its making was interrupted");
    std::fs::remove_file(&interpreter).unwrap();
    prepare();
    assert_eq!(made(), 3, "its Python is gone");
}

#[tokio::test]
async fn a_peer_that_ends_says_how_and_what_it_printed() {
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
async fn a_peer_that_raises_says_what() {
    let mut peer = python_process(Sdk::V0_1_5).await;
    // Nobody listens there.
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
