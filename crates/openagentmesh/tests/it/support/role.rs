//! Processes of a test's own: this test binary again, running one of its ignored tests.

use tokio::process::Command;

/// The environment variable that tells an ignored test that it runs as a role.
const VARIABLE: &str = "OAM_TEST_ROLE";

/// A process that runs the ignored test `name`, e.g. `lifecycle::slow_host`. The process ends with the
/// value.
pub(crate) fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, name)
        .kill_on_drop(true);
    command
}

/// Whether this process runs a role; `cargo test -- --ignored` does not.
pub(crate) fn is_role() -> bool {
    std::env::var_os(VARIABLE).is_some()
}
