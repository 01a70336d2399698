//! Whether the variants of `oneOf` exclude each other. Only then `anyOf` means the same.

use serde_json::{Map, Value};

use super::combine::is_closed;
use super::converter::{Combined, Converter, implied_type};
use super::scalar;
use crate::tool::keyword::{TYPES, is_of_type, named_property, required, types};
use crate::tool::problem::{Problem, Result};

/// Limit of the properties in properties that tell variants apart.
const MAX_NESTING: usize = 4;

impl Converter<'_> {
    /// Checks that a value of one variant's strict form fits no other variant.
    pub(super) fn check_disjoint(
        &mut self,
        variants: &[&Map<String, Value>],
        at: &str,
    ) -> Result<()> {
        let mut all = Vec::new();
        for variant in variants {
            all.push(self.alternatives(variant, at, 0)?);
        }
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                if !self.all_exclude(one, other, at, 0)? || !self.all_exclude(other, one, at, 0)? {
                    return Err(Problem::new(at, "has variants of oneOf that may overlap"));
                }
            }
        }
        Ok(())
    }

    /// The schemas without combinations, of which a value of `node` fits one.
    fn alternatives(
        &mut self,
        node: &Map<String, Value>,
        at: &str,
        followed: usize,
    ) -> Result<Vec<Map<String, Value>>> {
        self.spend(1, at)?;
        if followed > MAX_NESTING {
            // Excludes nothing.
            return Ok(vec![Map::new()]);
        }
        match self.combine(node, at, followed)? {
            Combined::Plain(plain) => Ok(vec![plain]),
            Combined::Reference(target) => {
                let target = self.target(&target, at)?;
                self.alternatives(&target, at, followed + 1)
            }
            Combined::Union { variants, .. } => {
                let mut all = Vec::new();
                for variant in variants {
                    all.extend(self.alternatives(&variant, at, followed + 1)?);
                }
                Ok(all)
            }
        }
    }

    fn all_exclude(
        &mut self,
        ones: &[Map<String, Value>],
        others: &[Map<String, Value>],
        at: &str,
        nesting: usize,
    ) -> Result<bool> {
        for one in ones {
            for other in others {
                if !self.excludes(one, other, at, nesting)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether no value of the strict form of `one` fits `other`.
    fn excludes(
        &mut self,
        one: &Map<String, Value>,
        other: &Map<String, Value>,
        at: &str,
        nesting: usize,
    ) -> Result<bool> {
        let values =
            |node: &Map<String, Value>| node.get("enum").and_then(Value::as_array).cloned();
        let length = |node: &Map<String, Value>| values(node).map_or(1, |values| values.len());
        self.compare(length(one) * length(other), at)?;
        if let (Some(one), Some(other)) = (values(one), values(other)) {
            return Ok(one.iter().all(|value| !other.contains(value)));
        }
        let formed = match (types(one), values(one)) {
            (Some(types), _) => types,
            (None, Some(values)) => scalar::types_of(&values.iter().collect::<Vec<_>>()),
            (None, None) => implied_type(one).map_or_else(|| TYPES.to_vec(), |name| vec![name]),
        };
        let fits = |name: &str| {
            let is_allowed =
                types(other).is_none_or(|types| types.iter().any(|t| overlap(t, name)));
            is_allowed
                && values(other).is_none_or(|all| all.iter().any(|value| is_of_type(value, name)))
        };
        let common: Vec<&str> = formed.into_iter().filter(|name| fits(name)).collect();
        match common[..] {
            [] => Ok(true),
            ["object"] => self.objects_exclude(one, other, at, nesting),
            _ => Ok(false),
        }
    }

    /// Counts `comparisons` towards their limit.
    fn compare(&mut self, comparisons: usize, at: &str) -> Result<()> {
        self.comparisons = self
            .comparisons
            .checked_sub(comparisons)
            .ok_or_else(|| Problem::new(at, "has too many variants of oneOf"))?;
        Ok(())
    }

    fn objects_exclude(
        &mut self,
        one: &Map<String, Value>,
        other: &Map<String, Value>,
        at: &str,
        nesting: usize,
    ) -> Result<bool> {
        // The strict form has only the properties that it names.
        let lacks = |node: &Map<String, Value>, name: &str| named_property(node, name).is_none();
        if required(other).any(|name| lacks(one, name))
            || (is_closed(other) && required(one).any(|name| lacks(other, name)))
        {
            return Ok(true);
        }
        if nesting == MAX_NESTING {
            return Ok(false);
        }
        for name in required(one).chain(required(other)) {
            let field =
                |node: &Map<String, Value>| named_property(node, name)?.as_object().cloned();
            if let (Some(one), Some(other)) = (field(one), field(other)) {
                let one = self.alternatives(&one, at, 0)?;
                let other = self.alternatives(&other, at, 0)?;
                if self.all_exclude(&one, &other, at, nesting + 1)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Whether a value may be of both types.
fn overlap(one: &str, other: &str) -> bool {
    one == other || (matches!(one, "integer" | "number") && matches!(other, "integer" | "number"))
}
