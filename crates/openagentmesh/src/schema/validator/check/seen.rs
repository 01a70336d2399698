//! Which items or properties of a value were looked at.

use serde_json::Value;

/// Counted only where a schema asks for what nobody has looked at.
pub(super) enum Seen {
    Ignored,
    /// For each item or property, in its order.
    Parts(Vec<bool>),
}

impl Seen {
    pub(super) fn of(value: &Value) -> Self {
        let count = match value {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            _ => 0,
        };
        Self::Parts(vec![false; count])
    }

    /// Nothing is seen yet; counted if this is.
    pub(super) fn fresh(&self, value: &Value) -> Self {
        match self {
            Self::Ignored => Self::Ignored,
            Self::Parts(_) => Self::of(value),
        }
    }

    pub(super) fn add(&mut self, part: usize) {
        if let Self::Parts(parts) = self
            && let Some(seen) = parts.get_mut(part)
        {
            *seen = true;
        }
    }

    pub(super) fn has(&self, part: usize) -> bool {
        matches!(self, Self::Parts(parts) if parts.get(part) == Some(&true))
    }

    pub(super) fn merge(&mut self, other: Self) {
        if let (Self::Parts(parts), Self::Parts(others)) = (self, other) {
            for (seen, other) in parts.iter_mut().zip(others) {
                *seen |= other;
            }
        }
    }
}
