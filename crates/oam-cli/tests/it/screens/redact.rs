//! Parts of an output that vary, replaced by a text of the same width where its width is part of the layout.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A pattern, and its replacement: digits become zeros if it is empty.
const PATTERNS: [(&str, &str); 21] = [
    // Directories of tests.
    (r"\.tmp[A-Za-z0-9]{6}", ".tmpXXXXXX"),
    (r"127\.0\.0\.1:(\d{4,5})", ""),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", ""),
    (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
        "0000-00-00T00:00:00Z",
    ),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?Z?\b", ""),
    // Tokens.
    (r"eyJ[\w.-]{100,}", "eyJ…"),
    // Ids, also shortened ones.
    (r"\b[0-9a-f]{8,}(\b|…)", "0"),
    (r"\b[A-Z0-9]{20,}(\b|…)", "0"),
    (
        r#"(SDK|oam|nats-server|protocol) +(«0»)?v?\d+\.\d+\.\d+|"\w+": ?"\d+\.\d+\.\d+""#,
        "",
    ),
    (r"nats-server (v?\d+\.\d+\.\d+)", ""),
    (r"(rust/|oam )\d+\.\d+\.\d+", ""),
    (r"\b\d+\.\d s\b", ""),
    (r"\b\d+\.\d ms\b", "0.0 ms"),
    (r#""ping_ms": ?[\d.]+"#, r#""ping_ms":0.0"#),
    // The order of the commands is not fixed.
    (r"revision \d+", "revision 0"),
    (r#""revision":\d+"#, r#""revision":0"#),
    (r#"_ms_ago": ?\d+"#, r#"_ms_ago":0"#),
    (r#"bytes": ?\d+"#, r#"bytes":0"#),
    (r#""consumers": ?\d+"#, r#""consumers":0"#),
    // The demo takes random orders.
    (
        r#"\{"item":"\w+","cents":\d+\}"#,
        r#"{"item":"tea","cents":000}"#,
    ),
    (
        r#"\{"orders":\d+,"cents":\d+\}"#,
        r#"{"orders":0,"cents":000}"#,
    ),
];

static REGEXES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let regexes = PATTERNS.into_iter();
    regexes
        .map(|(pattern, with)| (Regex::new(pattern).unwrap(), with))
        .collect()
});

/// The text without the parts that vary.
pub(super) fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (regex, with) in &*REGEXES {
        let replaced = regex.replace_all(&text, |captures: &Captures<'_>| match *with {
            "" => zeros(&captures[0], char::is_ascii_digit),
            "0" => zeros(&captures[0], char::is_ascii_alphanumeric),
            with => with.to_owned(),
        });
        text = replaced.into_owned();
    }
    // The address is no variable part.
    text.replace("000.0.0.0", "127.0.0.1")
}

fn zeros(text: &str, is_replaced: fn(&char) -> bool) -> String {
    let replace = |character| match is_replaced(&character) {
        true => '0',
        false => character,
    };
    text.chars().map(replace).collect()
}

/// Replaces the sizes of what the mesh stores, which depend on the lengths of ids.
pub(super) fn without_sizes(text: &str) -> String {
    static SIZE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)? (B|KiB|MiB)\b").unwrap());
    let replaced = SIZE.replace_all(text, |captures: &Captures<'_>| {
        zeros(&captures[0], char::is_ascii_digit)
    });
    replaced.into_owned()
}
