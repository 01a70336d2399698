//! `oam conform`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::parse::duration;
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum ConformCommand {
    /// Check the host of an agent: its contract, its answers and its extensions
    ///
    /// Sends valid, invalid and hostile requests, so the mesh should be one for tests. Prints one line
    /// per rule with its outcome and the address of the page that explains it. The exit code is 1 when
    /// a required rule failed. Rules of extensions do not change it.
    ///
    /// With --json, "rules" has an object for each rule: id, title, requirement, page, outcome, the reason
    /// of a failure or a skip, and "expected" with the reason of the list. "summary" has the counts,
    /// "surprises" the differences from the list, and "success" whether the exit code is 0.
    Host(ConformHost),
    /// Check a caller: serve known agents and judge the requests to them
    ///
    /// Prints the steps that the caller has to do, to stderr, and then waits for its requests. Ends when
    /// all steps are done, at --timeout, or with Ctrl-C, and prints one line per rule. The exit code is 1
    /// when a required rule failed. With --json, the document is that of `oam conform host`.
    Caller(ConformCaller),
}

/// The arguments that both checks have.
#[derive(Debug, Args)]
pub(crate) struct ConformReport {
    /// List of expected failures, one `rule-id: reason` per line; # begins a comment
    ///
    /// The exit code is then 1 when a rule failed that the list does not have, required or not, and when
    /// a rule of the list passed.
    #[arg(long, value_name = "FILE")]
    pub(crate) expected: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformHost {
    /// Names of agents of the host; a rule fails if it fails for one of them
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Valid input, as JSON [default: a value generated from the input schema]
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,
    /// Input that the agent works on for one to five seconds, as JSON
    ///
    /// For deadlines, probes and cancellation of calls. A streamer needs none.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) slow_input: Option<String>,
    /// Time to wait for each answer
    #[arg(long, value_name = "TIME", default_value = "5", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Time to wait for an agent that is not registered yet; its registration is checked
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) await_registration: Option<Duration>,
    /// Time to wait for the host to leave at the end; its leaving is checked
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) await_leaving: Option<Duration>,
    #[command(flatten)]
    pub(crate) report: ConformReport,
}

#[derive(Debug, Args)]
pub(crate) struct ConformCaller {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Time to wait for all steps
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) report: ConformReport,
}
