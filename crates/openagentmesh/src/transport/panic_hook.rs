//! The report of a panic in the NATS client.

use std::panic::{self, PanicHookInfo};
use std::path::Path;
use std::sync::Once;

use crate::util::panic::panic_message;

/// The start of the directory of the client's source, before its version.
const CLIENT_SOURCE: &str = "async-nats";

/// Logs a panic in a task of the NATS client as a warning. Without this, the default hook would print a backtrace for
/// a message that a peer has sent. Every other panic goes to the hook that was installed before. Done once for each
/// process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_of_client(info) {
                return before(info);
            }
            let cause = panic_message(info.payload());
            let place = info.location().map(ToString::to_string);
            tracing::warn!(
                cause,
                place,
                "the NATS client ended on a message that it cannot read; another one takes its place"
            );
        }));
    });
}

/// Whether a task panicked in the source of the client. A thread without a task, such as that of a test, is the
/// program's.
fn is_of_client(info: &PanicHookInfo<'_>) -> bool {
    tokio::task::try_id().is_some()
        && info
            .location()
            .is_some_and(|location| is_client_source(location.file()))
}

fn is_client_source(file: &str) -> bool {
    Path::new(file).components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        let version = part.strip_prefix(CLIENT_SOURCE);
        version.is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with('-') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_of_the_client_is_recognised_by_its_directory() {
        for (file, expected) in [
            (
                "/root/.cargo/registry/src/index/async-nats-0.51.0/src/header.rs",
                true,
            ),
            ("vendor/async-nats/src/header.rs", true),
            ("/home/user/async-nats-app/src/main.rs", false),
            ("src/async_nats.rs", false),
        ] {
            assert_eq!(is_client_source(file), expected, "{file}");
        }
    }
}
