//! The official JSON Schema test suite, run through `Contract::validate`.
//!
//! The suite comes with the sources of the Python package `jsonschema`. Cases of drafts 2020-12 and 7
//! run, except those of formats and of documents elsewhere. `json_schema_expected_failures.txt` lists
//! the cases that fail: an unlisted failure and a listed success both fail the test.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use interop::{Sdk, environment};
use openagentmesh::{AgentSpec, Contract};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::environments;

/// The version of the Python package.
const PACKAGE: &str = "jsonschema==4.26.0";

const EXPECTED_FAILURES: &str = include_str!("json_schema_expected_failures.txt");

/// Optional parts of the suite that contracts rely on.
const OPTIONAL: &[&str] = &[
    "anchor.json",
    "bignum.json",
    "ecmascript-regex.json",
    "float-overflow.json",
    "non-bmp-regex.json",
];

#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    description: String,
    data: Value,
    valid: bool,
}

#[test]
fn official_test_suite_fails_only_in_the_listed_cases() {
    let suite = suite();
    let mut failures = BTreeSet::new();
    let mut cases = 0;
    for (draft, schema) in [
        (
            "draft2020-12",
            "https://json-schema.org/draft/2020-12/schema",
        ),
        ("draft7", "http://json-schema.org/draft-07/schema#"),
    ] {
        for (name, path) in files(&suite.join(draft)) {
            let groups: Vec<Group> =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            for group in groups {
                let contract = contract(group.schema, schema);
                for case in group.tests {
                    cases += 1;
                    if outcome(&contract, &case.data) != Ok(case.valid) {
                        failures.insert(format!(
                            "{draft}/{name}: {}: {}",
                            group.description, case.description
                        ));
                    }
                }
            }
        }
    }
    assert!(cases > 2_000, "{cases} cases");
    let expected: BTreeSet<String> = EXPECTED_FAILURES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let mut report = String::new();
    for name in failures.difference(&expected) {
        writeln!(report, "unexpected failure: {name}").unwrap();
    }
    for name in expected.difference(&failures) {
        writeln!(report, "unexpected success: {name}").unwrap();
    }
    println!("{cases} cases, {} expected failures", expected.len());
    assert!(report.is_empty(), "{report}");
}

/// Whether `data` is valid; an error if the schema is refused.
fn outcome(contract: &Contract, data: &Value) -> Result<bool, String> {
    match contract.validate(data) {
        Ok(()) => Ok(true),
        Err(error) if error.message().starts_with("the input schema of agent") => {
            Err(error.message().to_owned())
        }
        Err(_) => Ok(false),
    }
}

fn contract(mut schema: Value, draft: &str) -> Contract {
    if let Some(members) = schema.as_object_mut()
        && !members.contains_key("$schema")
    {
        members.insert("$schema".to_owned(), json!(draft));
    }
    let agent = AgentSpec::new("x", "Stands for any agent.").handler(|_: Value| async {});
    let mut document = agent.contract().unwrap().into_document();
    document.input_schema = Some(schema);
    Contract::from(document)
}

/// The files of one draft with their names. `refRemote` refers to documents elsewhere.
fn files(directory: &Path) -> Vec<(String, PathBuf)> {
    let mut files: Vec<(String, PathBuf)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("json")))
        .map(|path| (name(&path), path))
        .filter(|(name, _)| name != "refRemote.json" && name != "format.json")
        .collect();
    for name in OPTIONAL {
        let path = directory.join("optional").join(name);
        if path.exists() {
            files.push((format!("optional/{name}"), path));
        }
    }
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The directory of the suite's tests, fetched once.
fn suite() -> PathBuf {
    let home = environments().join("json-schema-suite");
    let tests = home.join(PACKAGE.replace("==", "-")).join("json/tests");
    let python = environment::prepare(
        Sdk::V0_2_0,
        &environments(),
        &std::env::var_os("PATH").unwrap_or_default(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let lock = std::fs::File::create(environments().join("json-schema-suite.lock")).unwrap();
    lock.lock().unwrap();
    if tests.join("complete").exists() {
        return tests;
    }
    std::fs::create_dir_all(&home).unwrap();
    let download = [
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--no-deps",
        "--no-binary",
        "jsonschema",
        PACKAGE,
        "--dest",
    ];
    run(Command::new(&python).args(download).arg(&home));
    let extract = "\
import pathlib, sys, tarfile
for archive in pathlib.Path(sys.argv[1]).glob('jsonschema-*.tar.gz'):
    tarfile.open(archive).extractall(sys.argv[1], filter='data')";
    run(Command::new(&python).args(["-c", extract]).arg(&home));
    std::fs::File::create(tests.join("complete")).unwrap();
    tests
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cannot fetch the JSON Schema test suite: {said}"
    );
}
