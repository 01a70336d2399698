//! The log on stderr.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use crate::cli::Global;
use crate::text::printable;

/// Logs go to stderr: warnings, more with each `-v`, or the levels that `RUST_LOG` sets. The NATS client is off by
/// default, because its errors come back as errors of the command. With `--json`, each event is an object on one line.
pub(crate) fn init(options: &Global) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(match (options.verbose, options.output.quiet) {
            (0, true) => "error,async_nats=off",
            (0, false) => "error,async_nats=off,openagentmesh=warn,openagentmesh_local=warn",
            (1, _) => "warn,openagentmesh=info,openagentmesh_local=info",
            (2, _) => "info,openagentmesh=debug,openagentmesh_local=debug",
            (3.., _) => "trace",
        })
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| EscapedStderr)
        // Reports of failed writes go to stderr too, and would panic.
        .log_internal_errors(false)
        .with_target(false)
        .without_time();
    match options.output.json {
        true => log.json().init(),
        false => log.init(),
    }
}

/// Escapes the invisible characters of each event, whose text may come from the mesh.
struct EscapedStderr;

impl Write for EscapedStderr {
    /// Takes one whole event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = printable(&String::from_utf8_lossy(event));
        io::stderr().write_all(text.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
