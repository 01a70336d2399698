//! The range of a number, in words and as an example.

use serde_json::{Number, Value};

use super::node::Node;

/// Beyond this value a number is not exact as `f64`.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The limits of a number.
#[derive(Default)]
pub(super) struct Range<'s> {
    /// The limit, and whether the value itself is outside.
    lower: Option<(f64, bool, &'s Number)>,
    upper: Option<(f64, bool, &'s Number)>,
    step: Option<(f64, &'s Number)>,
}

impl<'s> Range<'s> {
    pub(super) fn of(node: &Node<'s>) -> Self {
        let mut range = Self::default();
        for (keyword, is_excluded) in [("minimum", false), ("exclusiveMinimum", true)] {
            for limit in node.all(keyword).filter_map(Value::as_number) {
                let Some(value) = limit.as_f64() else {
                    continue;
                };
                if range.lower.is_none_or(|(lower, ..)| value >= lower) {
                    range.lower = Some((value, is_excluded, limit));
                }
            }
        }
        for (keyword, is_excluded) in [("maximum", false), ("exclusiveMaximum", true)] {
            for limit in node.all(keyword).filter_map(Value::as_number) {
                let Some(value) = limit.as_f64() else {
                    continue;
                };
                if range.upper.is_none_or(|(upper, ..)| value <= upper) {
                    range.upper = Some((value, is_excluded, limit));
                }
            }
        }
        // In draft 4, a mark excludes the limit.
        let is_marked = |keyword| node.get(keyword) == Some(&Value::Bool(true));
        if let Some((_, is_excluded, _)) = &mut range.lower {
            *is_excluded |= is_marked("exclusiveMinimum");
        }
        if let Some((_, is_excluded, _)) = &mut range.upper {
            *is_excluded |= is_marked("exclusiveMaximum");
        }
        let step = node.get("multipleOf").and_then(Value::as_number);
        range.step = step.and_then(|step| Some((step.as_f64().filter(|step| *step > 0.0)?, step)));
        range
    }

    /// `name` with the limits, as in "integer 1–99".
    pub(super) fn in_words(&self, name: &str) -> String {
        let mut text = match (&self.lower, &self.upper) {
            (Some((_, false, lower)), Some((_, false, upper))) => format!("{name} {lower}–{upper}"),
            (lower, upper) => {
                let mut text = name.to_owned();
                if let Some((_, is_excluded, limit)) = lower {
                    let sign = if *is_excluded { '>' } else { '≥' };
                    text.push_str(&format!(" {sign} {limit}"));
                }
                if let Some((_, is_excluded, limit)) = upper {
                    let sign = if *is_excluded { '<' } else { '≤' };
                    let comma = if lower.is_some() { "," } else { "" };
                    text.push_str(&format!("{comma} {sign} {limit}"));
                }
                text
            }
        };
        if let Some((_, step)) = &self.step {
            text.push_str(&format!(", multiple of {step}"));
        }
        text
    }

    /// The `nth` integer of the range, counted from 1 or from the limit that is nearest to it.
    pub(super) fn integer(&self, nth: usize) -> Number {
        let lower = self.lower.map(|(limit, is_excluded, _)| match is_excluded {
            true => limit.floor() + 1.0,
            false => limit.ceil(),
        });
        let upper = self.upper.map(|(limit, is_excluded, _)| match is_excluded {
            true => limit.ceil() - 1.0,
            false => limit.floor(),
        });
        let step = self
            .step
            .map_or(1.0, |(step, _)| match step.fract() == 0.0 {
                true => step,
                // Of the multiples of such a step, some are whole.
                false => (step * 1e6).round() / gcd((step * 1e6).round(), 1e6),
            });
        let value = pick(lower, upper, step, nth);
        if value.abs() <= MAX_EXACT {
            return Number::from(value as i64);
        }
        // The limits themselves are exact.
        let limits = [self.lower, self.upper].into_iter().flatten();
        let exact = limits
            .map(|(_, _, limit)| limit)
            .find(|limit| limit.as_f64() == Some(value));
        exact
            .cloned()
            .or_else(|| Number::from_f64(value))
            .unwrap_or_else(|| 0.into())
    }

    /// The `nth` number of the range.
    pub(super) fn number(&self, nth: usize) -> Number {
        if let Some((step, _)) = self.step {
            let value = pick(self.lower_included(), self.upper_included(), step, nth);
            return shortest(value);
        }
        let plain = 1.0 + nth as f64;
        let value = match (self.lower, self.upper) {
            _ if self.contains(plain) => plain,
            (Some((lower, ..)), Some((upper, ..))) => lower + (upper - lower) / (1.0 + plain),
            (lower, upper) => {
                let lower = lower.map(|(limit, is_excluded, _)| limit + offset(is_excluded));
                let upper = upper.map(|(limit, is_excluded, _)| limit - offset(is_excluded));
                pick(lower, upper, 1.0, nth)
            }
        };
        shortest(value)
    }

    fn contains(&self, value: f64) -> bool {
        self.lower
            .is_none_or(|(lower, is_excluded, _)| value > lower || (value == lower && !is_excluded))
            && self.upper.is_none_or(|(upper, is_excluded, _)| {
                value < upper || (value == upper && !is_excluded)
            })
    }

    fn lower_included(&self) -> Option<f64> {
        let tiny = self.step.map_or(0.0, |(step, _)| step / 2.0);
        self.lower
            .map(|(limit, is_excluded, _)| if is_excluded { limit + tiny } else { limit })
    }

    fn upper_included(&self) -> Option<f64> {
        let tiny = self.step.map_or(0.0, |(step, _)| step / 2.0);
        self.upper
            .map(|(limit, is_excluded, _)| if is_excluded { limit - tiny } else { limit })
    }
}

/// The `nth` multiple of `step` within the limits, counted from 1, or from the lower limit if 1 is below, or down from
/// the upper limit if 1 is above.
fn pick(lower: Option<f64>, upper: Option<f64>, step: f64, nth: usize) -> f64 {
    let nth = nth as f64;
    let from = lower.unwrap_or(1.0).max(1.0);
    let up = (from / step).ceil() * step;
    if upper.is_none_or(|upper| up + nth * step <= upper) {
        return up + nth * step;
    }
    let from = upper.unwrap_or(1.0);
    let down = (from / step).floor() * step;
    let value = down - nth * step;
    match lower {
        Some(lower) if value < lower => (lower / step).ceil() * step,
        _ => value,
    }
}

/// The distance from an excluded limit.
fn offset(is_excluded: bool) -> f64 {
    f64::from(u8::from(is_excluded))
}

/// A number without a fraction is written as an integer.
fn shortest(value: f64) -> Number {
    // Multiples of a fraction such as 0.1 have rounding errors.
    let rounded = (value * 1e9).round() / 1e9;
    if rounded.fract() == 0.0 && rounded.abs() <= MAX_EXACT {
        return Number::from(rounded as i64);
    }
    Number::from_f64(rounded).unwrap_or_else(|| 0.into())
}

fn gcd(mut one: f64, mut other: f64) -> f64 {
    while other >= 1.0 {
        (one, other) = (other, one % other);
    }
    one.max(1.0)
}
