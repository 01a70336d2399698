//! The steps of finding equal items.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// Steps of comparing items that the library hashes alike, up to the first two equal ones.
///
/// The library hashes numbers as `f64` and ignores the bounds of nested arrays. Items with the same leaves
/// in any order count as hashed alike, which is the case for more items than in the library.
pub(super) fn compared_steps(items: &[Value]) -> u64 {
    let mut groups: HashMap<u64, (&Value, u64)> = HashMap::with_capacity(items.len());
    let mut steps: u64 = 0;
    for item in items {
        let (hash, size) = leaves(item);
        let (first, count) = groups.entry(hash).or_insert((item, 0));
        if *count > 0 {
            steps = steps.saturating_add(count.saturating_mul(size));
            if is_equal_leaf(first, item) {
                break;
            }
        }
        *count += 1;
    }
    steps
}

/// The sum of the hashes of all leaves and keys, and the number of values.
fn leaves(item: &Value) -> (u64, u64) {
    let (mut sum, mut size) = (0_u64, 0);
    let mut stack = vec![item];
    while let Some(value) = stack.pop() {
        size += 1;
        match value {
            Value::Array(items) => stack.extend(items),
            Value::Object(members) => {
                for (key, member) in members {
                    sum = sum.wrapping_add(hash(key));
                    stack.push(member);
                }
            }
            Value::String(text) => {
                size += text.len() as u64 / 64;
                sum = sum.wrapping_add(hash(text));
            }
            Value::Number(number) => {
                // Zero and negative zero are equal.
                let number = number.as_f64().unwrap_or_default() + 0.0;
                sum = sum.wrapping_add(hash(&number.to_bits()));
            }
            Value::Bool(bool) => sum = sum.wrapping_add(hash(bool)),
            Value::Null => sum = sum.wrapping_add(1),
        }
    }
    (sum, size)
}

fn hash(leaf: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    leaf.hash(&mut hasher);
    hasher.finish()
}

/// Whether both are the same text or number, after which the library stops.
fn is_equal_leaf(left: &Value, right: &Value) -> bool {
    !left.is_array() && !left.is_object() && left == right
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_items_that_are_hashed_alike_are_compared() {
        assert_eq!(compared_steps(&[json!([1, 2]), json!([1, 3])]), 0);
        assert_eq!(compared_steps(&[json!([1, 2]), json!([[1], 2])]), 4);
        assert_eq!(compared_steps(&[json!(u64::MAX), json!(u64::MAX - 1)]), 1);
        assert_eq!(compared_steps(&vec![json!("a"); 1_000]), 1);
    }
}
