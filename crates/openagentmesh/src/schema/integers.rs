//! Whole numbers that are written with a point or an exponent, or with more digits than an `f64` keeps.

use serde_json::Value;

/// Digits of the longest integer, `u128::MAX`.
const MAX_DIGITS: usize = 39;

/// 2 to the power of 127, the magnitude of `i128::MIN`.
const HALF: u128 = 1 << 127;

/// The greatest `f64` that is less than 2 to the power of 127: the limit of `int128` among rounded integers.
pub(super) const MAX_INT128: f64 = ((1_u128 << 127) - (1 << 74)) as f64;

/// The greatest `f64` that is less than 2 to the power of 128: the limit of `uint128` among rounded integers.
pub(super) const MAX_UINT128: f64 = (u128::MAX - ((1 << 75) - 1)) as f64;

/// Parses `json`. Integers beyond 64 bits become `f64`, on the side of the limits of 128 bits on which they are.
///
/// # Errors
///
/// When `json` is not JSON.
pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Value> {
    let value = serde_json::from_slice(json)?;
    if !has_limit(&value) {
        return Ok(value);
    }
    // Only numbers next to a limit are parsed again, more slowly.
    match rewrite(json, within_limit) {
        Some(json) => serde_json::from_slice(&json),
        None => Ok(value),
    }
}

/// Whether a number in `value` is a power of two to which numbers below and above the limit are rounded.
pub(crate) fn has_limit(value: &Value) -> bool {
    let is_limit = |number: f64| {
        let magnitude = number.abs();
        magnitude == HALF as f64 || magnitude == u128::MAX as f64
    };
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::Number(number) if number.as_f64().is_some_and(is_limit) => return true,
            Value::Array(items) => stack.extend(items),
            Value::Object(members) => stack.extend(members.values()),
            _ => {}
        }
    }
    false
}

/// Writes each whole number of `json` without point and exponent: `1200` for `1.2e3`, `0` for `-0`.
///
/// `None` if `json` has no such number. The digits of whole numbers are never lost. As in the parsed value, a number
/// with more digits after the point than an `f64` keeps is rounded. Numbers of more than 39 digits stay as they are.
pub(crate) fn without_fractions(json: &[u8]) -> Option<Vec<u8>> {
    rewrite(json, integer)
}

/// Writes each number of `json` for which `change` returns another; `None` if there is none.
fn rewrite(json: &[u8], change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut rewritten = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => at = end_of_text(json, at + 1),
            b'-' | b'0'..=b'9' => {
                let is_number =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = json[at..].iter().take_while(|byte| is_number(byte)).count();
                if let Some(changed) = change(&json[at..at + length]) {
                    rewritten.extend_from_slice(&json[copied..at]);
                    rewritten.extend_from_slice(&changed);
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    rewritten.extend_from_slice(&json[copied..]);
    Some(rewritten)
}

/// An `f64` on the same side of the limits of 128 bits as `number`, if the nearest one is on another.
fn within_limit(number: &[u8]) -> Option<Vec<u8>> {
    let integer = integer(number).unwrap_or_else(|| number.to_vec());
    let text = std::str::from_utf8(&integer).ok()?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let exact: u128 = digits.parse().ok()?;
    let rounded = exact as f64;
    let nearest = if sign.is_empty() && rounded == u128::MAX as f64 {
        MAX_UINT128
    } else if sign.is_empty() && rounded == HALF as f64 && exact < HALF {
        MAX_INT128
    } else if !sign.is_empty() && rounded == HALF as f64 && exact > HALF {
        (HALF + (1 << 75)) as f64
    } else {
        return None;
    };
    Some(format!("{sign}{nearest:e}").into_bytes())
}

fn end_of_text(json: &[u8], mut at: usize) -> usize {
    while at < json.len() {
        match json[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// `number` without point and exponent, if it has either and is whole.
fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let number = std::str::from_utf8(number).ok()?;
    let (is_negative, unsigned) = match number.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, number),
    };
    let is_negative_zero = is_negative && unsigned == "0";
    if !is_negative_zero && !unsigned.contains(['.', 'e', 'E']) {
        return None;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || has_leading_zero || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return Some(b"0".to_vec());
    }
    // The number is `0.all` times ten to the power of `point`.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let leading_zeros = all.len() - all.trim_start_matches('0').len();
    let length = point - i64::try_from(leading_zeros).ok()?;
    let Ok(length) = usize::try_from(length) else {
        return rounded(number);
    };
    if length > MAX_DIGITS {
        return None;
    }
    if digits.len() > length {
        return rounded(number);
    }
    let sign = if is_negative { "-" } else { "" };
    Some(format!("{sign}{digits:0<length$}").into_bytes())
}

/// `number`, which has a fraction, if the nearest `f64` is whole.
fn rounded(number: &str) -> Option<Vec<u8>> {
    let nearest: f64 = number.parse().ok()?;
    let is_short = nearest.abs() < u128::MAX as f64;
    (nearest.fract() == 0.0 && is_short).then(|| match nearest == 0.0 {
        true => b"0".to_vec(),
        false => format!("{nearest:.0}").into_bytes(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> Option<String> {
        without_fractions(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn whole_number_is_written_as_an_integer() {
        for (number, integer) in [
            ("1200.0", "1200"),
            ("1.2e3", "1200"),
            ("1.2E+3", "1200"),
            ("12000e-1", "1200"),
            ("-3.0", "-3"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e5", "0"),
            ("0.05e2", "5"),
            ("9007199254740993.0", "9007199254740993"),
            ("1.00000000000000000001", "1"),
            ("-9007199254740993.5", "-9007199254740994"),
            ("1e-400", "0"),
            (
                "3.40282366920938463463374607431768211455e38",
                "340282366920938463463374607431768211455",
            ),
        ] {
            assert_eq!(rewritten(number).as_deref(), Some(integer), "{number}");
        }
        assert_eq!(
            rewritten("{\"1.0\": [1.0, \"2.0\\\"3.0\", 4], \"a\": 5e1}").unwrap(),
            "{\"1.0\": [1, \"2.0\\\"3.0\", 4], \"a\": 50}"
        );
    }

    #[test]
    fn integer_stays_on_its_side_of_the_limits_of_128_bits() {
        let parsed = |json: &str| parse(json.as_bytes()).unwrap().as_f64().unwrap();
        let half = HALF as f64;
        for (json, is_within) in [
            ("340282366920938463463374607431768211455", true),
            ("340282366920938463463374607431768211455.0", true),
            ("340282366920938463463374607431768211456", false),
            ("340282366920938463463374607431768211456e0", false),
            ("340282366920938463463374607431768211457", false),
        ] {
            assert_eq!(parsed(json) <= MAX_UINT128, is_within, "{json}");
        }
        for (json, is_within) in [
            ("170141183460469231731687303715884105727", true),
            ("170141183460469231731687303715884105728", false),
            ("-170141183460469231731687303715884105728", true),
            ("-170141183460469231731687303715884105729", false),
        ] {
            let number = parsed(json);
            assert_eq!((-half..=MAX_INT128).contains(&number), is_within, "{json}");
        }
        let list = parse(b"[\"340282366920938463463374607431768211455\", 1, 1.7e38]").unwrap();
        assert_eq!(list[1], 1);
    }

    #[test]
    fn other_number_stays() {
        for number in [
            "1200", "-3", "0", "1.5", "1e-1", "1e39", "1e400", "1.", "01.0", ".5", "1e", "--1.0",
        ] {
            assert_eq!(rewritten(number), None, "{number}");
        }
    }
}
