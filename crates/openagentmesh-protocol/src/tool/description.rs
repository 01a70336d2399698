//! The description of a tool, within the limit of a provider.

use serde_json::Value;

use super::keyword::properties;
use crate::Contract;

/// The mark of a text that was cut.
const ELLIPSIS: char = '…';

/// The description of a tool and the fields of its result.
pub(super) struct Description {
    text: String,
    returns: Option<String>,
}

impl Description {
    pub(super) fn of(contract: &Contract) -> Self {
        let output = contract.output_schema.as_ref().and_then(Value::as_object);
        let fields = output.into_iter().flat_map(properties);
        let fields: Vec<&str> = fields.map(|(name, _)| name.as_str()).collect();
        Self {
            text: contract.description.clone(),
            returns: (!fields.is_empty()).then(|| format!("Returns: {}.", fields.join(", "))),
        }
    }

    /// The whole description.
    pub(super) fn whole(&self) -> String {
        match &self.returns {
            None => self.text.clone(),
            Some(returns) if self.text.is_empty() => returns.clone(),
            Some(returns) => format!("{}\n{returns}", self.text),
        }
    }

    /// The description with at most `limit` characters. If it must be cut, the result comes first.
    pub(super) fn within(&self, limit: usize) -> String {
        let whole = self.whole();
        if whole.chars().count() <= limit {
            return whole;
        }
        match &self.returns {
            Some(returns) => cut(&format!("{returns}\n{}", self.text), limit),
            None => cut(&self.text, limit),
        }
    }
}

/// The first `limit` characters of `text`, the last of them the mark of the cut.
fn cut(text: &str, limit: usize) -> String {
    let kept = text.chars().take(limit.saturating_sub(1));
    kept.chain([ELLIPSIS]).collect()
}
