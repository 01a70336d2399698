//! Rules about the items and properties of a value.

use serde_json::{Map, Value};

use super::{Check, Place, Seen};
use crate::schema::validator::message;
use crate::schema::validator::rule::{Id, Node, Part, Properties, Rule};

impl Check<'_> {
    pub(super) fn parts(&mut self, rule: &Rule, value: &Value, place: Place<'_>, seen: &mut Seen) {
        match (rule, value) {
            (Rule::Properties(properties), Value::Object(members)) => {
                self.properties(properties, members, place, seen);
            }
            (Rule::PropertyNames(id), Value::Object(members)) => {
                for name in members.keys() {
                    self.name(*id, name, place);
                }
            }
            (Rule::Items { prefix, rest }, Value::Array(items)) => {
                self.items(prefix, *rest, items, place, seen);
            }
            (Rule::Contains { item, min, max }, Value::Array(items)) => {
                self.contains(*item, (*min, *max), items, place, seen);
            }
            (Rule::Unevaluated(Part::Items, id), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if !seen.has(index) {
                        seen.add(index);
                        self.node(*id, item, Place::Item(&place, index), &mut Seen::Ignored);
                    }
                }
            }
            (Rule::Unevaluated(Part::Properties, id), Value::Object(members)) => {
                let mut unexpected = Vec::new();
                for (index, (name, value)) in members.iter().enumerate() {
                    if !seen.has(index) {
                        seen.add(index);
                        self.other(*id, name, value, place, &mut unexpected);
                    }
                }
                self.refuse("Unevaluated properties", &unexpected, rule.keyword(), place);
            }
            _ => {}
        }
    }

    fn properties(
        &mut self,
        properties: &Properties,
        members: &Map<String, Value>,
        place: Place<'_>,
        seen: &mut Seen,
    ) {
        let mut unexpected = Vec::new();
        for (index, (name, value)) in members.iter().enumerate() {
            let matching = properties.matching.iter();
            let matching = matching.filter(|(pattern, _)| pattern.matches(name));
            let named = properties.named.get(name).into_iter();
            let mut is_known = false;
            for id in named.chain(matching.map(|(_, id)| id)) {
                is_known = true;
                self.node(
                    *id,
                    value,
                    Place::Property(&place, name),
                    &mut Seen::Ignored,
                );
            }
            match properties.additional {
                Some(id) if !is_known => self.other(id, name, value, place, &mut unexpected),
                Some(_) => {}
                None if !is_known => continue,
                None => {}
            }
            seen.add(index);
            if self.is_over() {
                return;
            }
        }
        self.refuse(
            "Additional properties",
            &unexpected,
            "additionalProperties",
            place,
        );
    }

    /// Holds schema `id` against a property that no other names; notes it where none is allowed.
    fn other<'v>(
        &mut self,
        id: Id,
        name: &'v str,
        value: &Value,
        place: Place<'_>,
        unexpected: &mut Vec<&'v str>,
    ) {
        match self.schema.nodes.get(id) {
            Some(Node::Nothing) => unexpected.push(name),
            _ => self.node(id, value, Place::Property(&place, name), &mut Seen::Ignored),
        }
    }

    fn refuse(&mut self, what: &str, unexpected: &[&str], keyword: &str, place: Place<'_>) {
        if !unexpected.is_empty() {
            let quoted: Vec<String> = unexpected.iter().map(|name| format!("'{name}'")).collect();
            self.fail(place, keyword, || message::unexpected(what, &quoted));
        }
    }

    /// A property's name is checked as if it were a value.
    fn name(&mut self, id: Id, name: &str, place: Place<'_>) {
        let value = Value::from(name);
        if !self.fits(id, &value, place, &mut Seen::Ignored) {
            let message = || format!("{value} is not a name that a property may have");
            self.fail(place, "propertyNames", message);
        }
    }

    fn items(
        &mut self,
        prefix: &[Id],
        rest: Option<Id>,
        items: &[Value],
        place: Place<'_>,
        seen: &mut Seen,
    ) {
        let schemas = prefix
            .iter()
            .copied()
            .map(Some)
            .chain(std::iter::repeat(rest));
        for ((index, item), id) in items.iter().enumerate().zip(schemas) {
            let Some(id) = id else { return };
            seen.add(index);
            let place = Place::Item(&place, index);
            match self.schema.nodes.get(id) {
                Some(Node::Nothing) if index >= prefix.len() => {
                    let message = || format!("only {} items are allowed", prefix.len());
                    self.fail(place, "items", message);
                }
                _ => self.node(id, item, place, &mut Seen::Ignored),
            }
            if self.is_over() {
                return;
            }
        }
    }

    fn contains(
        &mut self,
        id: Id,
        (min, max): (u64, Option<u64>),
        items: &[Value],
        place: Place<'_>,
        seen: &mut Seen,
    ) {
        let mut count = 0;
        for (index, item) in items.iter().enumerate() {
            if self.fits(id, item, place, &mut Seen::Ignored) {
                seen.add(index);
                count += 1;
            }
        }
        let limit = match max {
            Some(max) if count > max => Some(("maxContains", "more", max)),
            _ if count >= min => None,
            _ if min == 1 => Some(("contains", "less", 1)),
            _ => Some(("minContains", "less", min)),
        };
        if let Some((keyword, comparison, limit)) = limit {
            let message = || {
                format!(
                    "{count} items fit the schema of 'contains', which is {comparison} than {limit}"
                )
            };
            self.fail(place, keyword, message);
        }
    }
}
