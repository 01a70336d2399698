//! One line of a log.

use openagentmesh_local::ServerLog;
use serde::Serialize;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::text::{printable, timestamp};

/// The length of a time in a log, such as `2026/11/26 17:37:37.823118`.
const TIME_BYTES: usize = 26;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]/[month]/[day] [hour]:[minute]:[second].[subsecond digits:6]");

/// A line of the log of one server, without its line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) url: String,
    /// The port of the server in a cluster.
    pub(super) port: Option<String>,
    pub(super) text: String,
}

/// A line for programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Parsed<'e> {
    server: &'e str,
    time: Option<String>,
    level: Option<&'static str>,
    message: &'e str,
}

impl Entry {
    pub(super) fn new(log: &ServerLog, is_cluster: bool, bytes: &[u8]) -> Self {
        let port = log.url.rsplit_once(':').map(|(_, port)| port.to_owned());
        let text = String::from_utf8_lossy(bytes);
        Self {
            url: log.url.clone(),
            port: port.filter(|_| is_cluster),
            text: text.strip_suffix('\r').unwrap_or(&text).to_owned(),
        }
    }

    /// The time as text, which has the order of times; `None` for a line without one.
    pub(super) fn time(&self) -> Option<&str> {
        let (_, rest) = self.text.strip_prefix('[')?.split_once("] ")?;
        rest.get(..TIME_BYTES)
    }

    /// The line, escaped for a terminal; in a cluster after the port of its server.
    pub(super) fn for_people(&self) -> String {
        let text = printable(&self.text);
        match &self.port {
            Some(port) => format!("{port} | {text}"),
            None => text,
        }
    }

    pub(super) fn for_programs(&self) -> Parsed<'_> {
        self.parsed().unwrap_or(Parsed {
            server: &self.url,
            time: None,
            level: None,
            message: &self.text,
        })
    }

    fn parsed(&self) -> Option<Parsed<'_>> {
        let time = self.time()?;
        let utc = PrimitiveDateTime::parse(time, TIME).ok()?.assume_utc();
        let (_, rest) = self.text.split_once(time)?;
        let (level, message) = rest.strip_prefix(" [")?.split_once("] ")?;
        Some(Parsed {
            server: &self.url,
            // A server on Windows logs local time.
            time: (!cfg!(windows)).then(|| timestamp(utc)),
            level: Some(match level {
                "INF" => "info",
                "WRN" => "warn",
                "ERR" => "error",
                "FTL" => "fatal",
                "DBG" => "debug",
                "TRC" => "trace",
                _ => return None,
            }),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        let log = ServerLog {
            url: "nats://127.0.0.1:4222".to_owned(),
            path: "x.log".into(),
        };
        Entry::new(&log, true, text.as_bytes())
    }

    #[test]
    fn line_of_a_server_has_time_and_level() {
        let entry = entry("[18283] 2026/11/26 17:37:37.823118 [WRN] slow [consumer] 1");
        assert_eq!(entry.time(), Some("2026/11/26 17:37:37.823118"));
        let parsed = entry.for_programs();
        assert_eq!(parsed.level, Some("warn"));
        assert_eq!(parsed.message, "slow [consumer] 1");
        #[cfg(not(windows))]
        assert_eq!(parsed.time.as_deref(), Some("2026-11-26T17:37:37.823118Z"));
    }

    #[test]
    fn other_line_is_a_message_and_is_escaped() {
        for text in [
            "",
            "[",
            "[1] x",
            "[1] 2026/11/26 17:37:37.82311ä [INF] x",
            "goroutine 1:",
        ] {
            let entry = entry(text);
            assert_eq!(entry.for_programs().message, text);
            assert_eq!(entry.for_programs().level, None);
        }
        assert_eq!(entry("a\u{1b}[31m\r").for_people(), r"4222 | a\u{1b}[31m");
    }
}
