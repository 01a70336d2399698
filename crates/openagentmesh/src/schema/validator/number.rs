//! Numbers as JSON means them: 1.0 is the integer 1, and decimal fractions are exact.

use std::cmp::Ordering;

use serde_json::Number;

pub(super) fn is_integer(number: &Number) -> bool {
    whole(number).is_some() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (None, Some(b)) => compare_mixed(float(a), b),
        (Some(a), None) => compare_mixed(float(b), a).reverse(),
        (None, None) => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal),
    }
}

/// An integer of 64 bits may have no float that equals it.
fn compare_mixed(float: f64, whole: i128) -> Ordering {
    let floor = float.floor();
    // The cast saturates far outside of 64 bits.
    (floor as i128).cmp(&whole).then(if float > floor {
        Ordering::Greater
    } else {
        Ordering::Equal
    })
}

/// Whether `number` is a whole number of times `divisor`, in decimal: 0.3 is a multiple of 0.1.
pub(super) fn is_multiple(number: &Number, divisor: &Number) -> bool {
    if let (Some(number), Some(divisor)) = (whole(number), whole(divisor)) {
        return divisor != 0 && number % divisor == 0;
    }
    let (Some((digits, exponent)), Some((divisor, divisor_exponent))) =
        (decimal(number), decimal(divisor))
    else {
        return false;
    };
    if digits == 0 || divisor == 0 {
        return divisor != 0;
    }
    match u32::try_from(exponent - divisor_exponent) {
        Ok(zeros) => (0..zeros).fold(digits % divisor, |rest, _| rest * 10 % divisor) == 0,
        Err(_) => {
            let zeros = divisor_exponent.abs_diff(exponent);
            let scaled = 10_i128
                .checked_pow(zeros)
                .and_then(|scale| divisor.checked_mul(scale));
            // What does not fit is larger than all that a number has digits for.
            scaled.is_some_and(|scaled| digits % scaled == 0)
        }
    }
}

/// The digits of `number` and the power of ten that they are multiplied by.
fn decimal(number: &Number) -> Option<(i128, i32)> {
    if let Some(whole) = whole(number) {
        return Some((whole, 0));
    }
    let text = format!("{:e}", float(number));
    let (digits, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places = i32::try_from(fraction.len()).ok()?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, exponent - places))
}

fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn number(value: &Value) -> &Number {
        value.as_number().unwrap()
    }

    #[test]
    fn integers_beyond_floats_are_compared_exactly() {
        let order = |a: Value, b: Value| compare(number(&a), number(&b));
        assert_eq!(
            order(json!(u64::MAX), json!(u64::MAX - 1)),
            Ordering::Greater
        );
        assert_eq!(
            order(
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992.0)
            ),
            Ordering::Greater
        );
        assert_eq!(order(json!(-1), json!(u64::MAX)), Ordering::Less);
        assert_eq!(order(json!(1), json!(1.5)), Ordering::Less);
        assert_eq!(order(json!(1e300), json!(u64::MAX)), Ordering::Greater);
        assert_eq!(order(json!(-0.0), json!(0)), Ordering::Equal);
    }

    #[test]
    fn multiples_are_decimal() {
        let is = |a: Value, b: Value| is_multiple(number(&a), number(&b));
        assert!(is(json!(0.3), json!(0.1)));
        assert!(is(json!(0.0075), json!(0.0001)));
        assert!(!is(json!(0.00751), json!(0.0001)));
        assert!(is(json!(4.0), json!(2)));
        assert!(is(json!(1e300), json!(3e299)) == (1e300 % 3e299 == 0.0));
        assert!(!is(json!(1e308), json!(0.123_456_789)));
        assert!(!is(json!(1e-300), json!(5)));
        assert!(is(json!(0.0), json!(0.01)));
    }
}
