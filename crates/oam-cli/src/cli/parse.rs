//! Parsers of argument values.

use std::time::Duration;

/// A time span above 0: `500ms`, `2m`, `1m30s`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a time span above 0, as in 500ms, 2m or 1.5 (seconds)".to_owned())
}

/// `KEY=VALUE`; the value may contain further `=`.
pub(super) fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in author=ada".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn duration_has_a_unit_or_is_in_seconds() {
        for (text, millis) in [
            ("500ms", 500),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1.5", 1500),
            ("30", 30_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "0",
            "0s",
            "-1",
            "nan",
            "inf",
            "1e300",
            "",
            "2 fortnights",
            "m",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
