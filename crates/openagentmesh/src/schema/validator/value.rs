//! When two values are the same.

use std::cmp::Ordering;

use serde_json::Value;

use super::number::compare;

/// Whether two values are the same, whatever way their numbers are written.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// Whether no two of `items` are the same.
pub(super) fn are_unique(items: &[Value]) -> bool {
    // Sorted, so that a caller who sends very many does not keep the host busy.
    let mut sorted: Vec<&Value> = items.iter().collect();
    sorted.sort_by(|a, b| order(a, b));
    sorted.windows(2).all(|pair| match pair {
        [a, b] => order(a, b).is_ne(),
        _ => true,
    })
}

/// Some order in which values that are the same are equal.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => compare(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let first = a.iter().zip(b).map(|(a, b)| order(a, b));
            let first = first.into_iter().find(|order| order.is_ne());
            first.unwrap_or(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let (mut a, mut b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
            a.sort_by_key(|(name, _)| *name);
            b.sort_by_key(|(name, _)| *name);
            let members = a.iter().zip(&b);
            let first = members
                .map(|((name, a), (other, b))| name.cmp(other).then_with(|| order(a, b)))
                .find(|order| order.is_ne());
            first.unwrap_or(a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equality_heeds_values_only() {
        assert!(equal(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!equal(&json!([1]), &json!([true])));
        assert!(!equal(&json!({"a": null}), &json!({"b": null})));
    }

    #[test]
    fn the_same_twice_is_found_among_anything() {
        let unique = |items: Value| are_unique(items.as_array().unwrap());
        assert!(unique(
            json!([0, false, null, "", [], {}, "0", [0], {"a": 0}])
        ));
        assert!(!unique(json!([1, "a", 1.0])));
        assert!(!unique(json!([0.0, -0.0])));
        assert!(!unique(
            json!([{"a": 1, "b": [2]}, {}, {"b": [2.0], "a": 1}])
        ));
        assert!(unique(
            json!([{"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}])
        ));
        assert!(unique(json!((0..100_000).collect::<Vec<_>>())));
    }
}
