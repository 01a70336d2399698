//! Error codes as text, and whether a retry may help.

use openagentmesh_protocol::{ErrorCode, ErrorObject, MAX_DETAILS_BYTES};

#[test]
fn known_and_local_codes_round_trip_through_text() {
    for code in ErrorCode::KNOWN.iter().chain(ErrorCode::LOCAL) {
        let parsed = ErrorCode::from(code.as_str());
        assert_eq!(&parsed, code);
        assert!(!matches!(parsed, ErrorCode::Other(_)), "{code}");
    }
}

#[test]
fn unknown_code_is_preserved_and_not_retryable() {
    let code: ErrorCode = serde_json::from_str(r#""rate_limited""#).unwrap();
    assert_eq!(code, ErrorCode::Other("rate_limited".to_owned()));
    assert_eq!(serde_json::to_string(&code).unwrap(), r#""rate_limited""#);
    assert!(!code.is_retryable());
}

#[test]
fn code_equals_its_text_in_both_directions() {
    let code = ErrorCode::Timeout;
    assert_eq!(code, "timeout");
    assert_eq!("timeout", code);
    assert_eq!(code, *"timeout");
    assert_eq!(*"timeout", code);
    assert_ne!(code, "overloaded");
    assert_ne!("overloaded", code);
}

#[test]
fn retryable_codes_are_those_whose_cause_may_pass() {
    let retryable: Vec<&str> = ErrorCode::KNOWN
        .iter()
        .chain(ErrorCode::LOCAL)
        .filter(|code| code.is_retryable())
        .map(ErrorCode::as_str)
        .collect();
    assert_eq!(
        retryable,
        [
            "chunk_sequence_error",
            "timeout",
            "not_available",
            "agent_died",
            "connection_failed",
            "overloaded",
        ]
    );
}

#[test]
fn details_of_an_error_are_read_up_to_a_length() {
    let read = |count: usize| {
        let list = vec!["{\"a\":0}"; count].join(",");
        let text =
            format!(r#"{{"code": "full", "message": "no", "details": {{"all": [{list}]}}}}"#);
        serde_json::from_str::<ErrorObject>(&text).unwrap()
    };
    let all = read(10).details;
    assert_eq!(all["all"].as_array().unwrap().len(), 10);
    let long = read(MAX_DETAILS_BYTES);
    assert!(long.details.is_empty());
    assert_eq!(long.message, "no");
    for none in [r#""details": null"#, r#""details": {}"#, r#""agent": "a""#] {
        let error: ErrorObject =
            serde_json::from_str(&format!(r#"{{"code": "x", {none}}}"#)).unwrap();
        assert!(error.details.is_empty(), "{none}");
    }
    let malformed = r#"{"code": "x", "details": [1]}"#;
    assert!(serde_json::from_str::<ErrorObject>(malformed).is_err());
    // Not only text is read.
    let value = serde_json::json!({"code": "x", "details": {"left": 1}});
    let error: ErrorObject = serde_json::from_value(value).unwrap();
    assert_eq!(error.details["left"], 1);
}
