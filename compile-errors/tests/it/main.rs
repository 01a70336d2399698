//! Compile errors of functions that cannot be agents.
#![allow(clippy::unwrap_used)]

use std::process::Command;

/// The compiler release of the messages in `ui/types`: the workspace's `rust-version`.
const EXPECTED_RELEASE: &str = env!("CARGO_PKG_RUST_VERSION");

#[test]
fn invalid_agent_is_a_compile_error_with_a_remedy() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    // These messages include the compiler's own text, which differs between releases.
    if compiler_release().starts_with(&format!("{EXPECTED_RELEASE}.")) {
        cases.compile_fail("tests/ui/types/*.rs");
    }
}

fn compiler_release() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    version.split_whitespace().nth(1).unwrap().to_owned()
}
