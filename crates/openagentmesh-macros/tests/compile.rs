//! What the compiler says of functions that cannot be agents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

/// The release of the compiler whose words are in `ui/types`: the workspace's `rust-version`.
const WORDS_OF: &str = env!("CARGO_PKG_RUST_VERSION");

#[test]
fn a_function_that_cannot_be_an_agent_says_what_to_write_instead() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    // These messages are ours too, but stand among the compiler's own, which every release words
    // a little differently.
    if compiler_release().starts_with(&format!("{WORDS_OF}.")) {
        cases.compile_fail("tests/ui/types/*.rs");
    }
}

fn compiler_release() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    version.split_whitespace().nth(1).unwrap().to_owned()
}
