//! Formats and patterns.

use serde_json::json;

use super::keywords::{assert_violations, problems};
use crate::schema::validator::Validator;

#[test]
fn format_of_a_text_is_checked_and_an_unknown_one_is_ignored() {
    for (format, valid, invalid) in [
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-01-01T00:00:00Z", "2024-01-01 00:00:00"),
        ("duration", "P1DT2H", "1d"),
        ("email", "x@example.com", "X <x@example.com>"),
        ("hostname", "example.com", "-example"),
        ("ip", "::1", "1.2.3"),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("ipv6", "::1", "127.0.0.1"),
        ("iri", "https://example.com/é", "é"),
        ("iri-reference", "/é", "\\a"),
        ("json-pointer", "/a/0", "a"),
        ("regex", "^a+$", "("),
        ("relative-json-pointer", "1/a", "/a"),
        ("time", "00:00:00Z", "24:00:00Z"),
        ("uri", "https://example.com/", "example.com"),
        ("uri-reference", "/a?b#c", "\\a"),
        ("uri-template", "/a/{id}", "/a/{id"),
        (
            "uuid",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "67e5504410b1426f9247bb680e5fe0c8",
        ),
    ] {
        assert_violations(
            &json!({"format": format}),
            &[
                (json!(valid), &[]),
                (json!(invalid), &[" format"]),
                (json!(1), &[]),
            ],
        );
        let draft_7 = "http://json-schema.org/draft-07/schema#";
        if !matches!(format, "duration" | "uuid") {
            assert_violations(
                &json!({"$schema": draft_7, "format": format}),
                &[(json!(valid), &[]), (json!(invalid), &[" format"])],
            );
        }
    }
    assert_violations(&json!({"format": "colour"}), &[(json!("x"), &[])]);
}

#[test]
fn format_of_an_integer_is_its_range() {
    for (format, valid, invalid) in [
        ("int32", json!(i32::MIN), json!(i64::from(i32::MAX) + 1)),
        ("uint32", json!(4_294_967_295.0), json!(4_294_967_296_u64)),
        ("int64", json!(i64::MAX), json!(u64::MAX)),
        (
            "uint64",
            json!(u64::MAX),
            json!(18_446_744_073_709_551_616.0),
        ),
        ("uint128", json!(1e38), json!(1e39)),
    ] {
        assert_violations(
            &json!({"properties": {"n": {"type": ["integer", "null"], "format": format}}}),
            &[
                (json!({"n": valid}), &[]),
                (json!({"n": invalid}), &["/n maximum"]),
                (json!({"n": null}), &[]),
            ],
        );
    }
}

#[test]
fn pattern_is_that_of_ecma_262_and_shown_as_it_is_written() {
    assert_violations(
        &json!({"pattern": "^.{1,65535}$", "patternProperties": {"^\\<a\\>$": {"type": "null"}}}),
        &[
            (json!("é".repeat(65_535)), &[]),
            (json!("é".repeat(65_536)), &[" pattern"]),
            (json!("\u{2028}"), &[" pattern"]),
            (json!({"<a>": 1}), &["/<a> type"]),
        ],
    );
    assert_eq!(
        problems(&json!({"pattern": "^[^\\0]$"}), &json!("\0"))[0].message,
        "\"\\u0000\" does not match \"^[^\\0]$\""
    );
    let reason = Validator::new(&json!({"properties": {"a": {"pattern": "a(?=b)"}}}))
        .err()
        .unwrap();
    assert!(
        reason.starts_with("/properties/a/pattern: invalid pattern 'a(?=b)'"),
        "{reason}"
    );
    assert!(reason.contains("; write "), "{reason}");
}
