//! What a machine without a usable Python is told.

use std::ffi::OsStr;
use std::path::Path;

use interop::Sdk;
use interop::environment::{self, SetupError};
use interop::python::{self, NoPython};

/// Programs that stand for Pythons.
const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pythons");

fn path_of(names: &[&str]) -> std::ffi::OsString {
    std::env::join_paths(names.iter().map(|name| Path::new(STAND_INS).join(name))).unwrap()
}

fn is_one_sentence_that_says_what_to_install(error: &NoPython) {
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
