//! Whole numbers that are written with a point or an exponent.

/// Digits of the longest integer, `u128::MAX`.
const MAX_DIGITS: usize = 39;

/// Writes each whole number of `json` without point and exponent: `1200` for `1.2e3`, `0` for `-0`.
///
/// `None` if `json` has no such number. Digits are never lost: numbers with a fraction or more than 39 digits
/// stay as they are.
pub(super) fn without_fractions(json: &[u8]) -> Option<Vec<u8>> {
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
                if let Some(integer) = integer(&json[at..at + length]) {
                    rewritten.extend_from_slice(&json[copied..at]);
                    rewritten.extend_from_slice(&integer);
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
    let length = usize::try_from(point - i64::try_from(leading_zeros).ok()?).ok()?;
    if digits.len() > length || length > MAX_DIGITS {
        return None;
    }
    let sign = if is_negative { "-" } else { "" };
    Some(format!("{sign}{digits:0<length$}").into_bytes())
}

#[cfg(test)]
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
    fn other_number_stays() {
        for number in [
            "1200", "-3", "0", "1.5", "1e-1", "1e39", "1e400", "1.", "01.0", ".5", "1e", "--1.0",
        ] {
            assert_eq!(rewritten(number), None, "{number}");
        }
    }
}
