//! Holding a schema against a value.

mod parts;
mod place;
mod seen;

use serde_json::{Number, Value};

use super::rule::{Id, Node, Range, Rule, Schema, Size, Types};
use super::value::{are_unique, equal};
use super::{Problem, message, number};
use place::Place;
use seen::Seen;

/// How deep schemas and values may be nested together, so that no value exhausts the stack.
const DEEPEST: usize = 512;

/// A look at a value: for all that is wrong, or for whether anything is.
pub(super) struct Check<'s> {
    schema: &'s Schema,
    problems: Option<Vec<Problem>>,
    failed: bool,
    depth: usize,
}

impl<'s> Check<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self {
            schema,
            problems: Some(Vec::new()),
            failed: false,
            depth: 0,
        }
    }

    pub(super) fn problems(mut self, value: &Value) -> Vec<Problem> {
        self.node(0, value, Place::Whole, &mut Seen::Ignored);
        self.problems.unwrap_or_default()
    }

    /// Whether nothing more is to be learned.
    fn is_over(&self) -> bool {
        self.failed && self.problems.is_none()
    }

    fn fail(&mut self, place: Place<'_>, rule: &str, message: impl FnOnce() -> String) {
        self.failed = true;
        if let Some(problems) = &mut self.problems {
            problems.push(Problem {
                location: place.to_string(),
                message: message(),
                rule: rule.to_owned(),
            });
        }
    }

    /// Whether `value` fits the schema `id`, which alone is no problem; and what that has looked at.
    fn fits(&self, id: Id, value: &Value, place: Place<'_>, seen: &mut Seen) -> bool {
        let mut check = Self {
            schema: self.schema,
            problems: None,
            failed: false,
            depth: self.depth,
        };
        let mut own = seen.fresh(value);
        check.node(id, value, place, &mut own);
        if !check.failed {
            seen.merge(own);
        }
        !check.failed
    }

    fn node(&mut self, id: Id, value: &Value, place: Place<'_>, seen: &mut Seen) {
        let rules = match self.schema.nodes.get(id) {
            Some(Node::Rules(rules)) => rules,
            Some(Node::Nothing) | None => {
                let message = || format!("False schema does not allow {}", message::shown(value));
                return self.fail(place, "falseSchema", message);
            }
        };
        if self.depth >= DEEPEST {
            return self.fail(place, "$ref", || {
                "it is nested too deep to be checked".to_owned()
            });
        }
        self.depth += 1;
        // What is beside this schema does not know what this one has looked at, but what is around it does.
        let mut own = match self.schema.tracks {
            true => Seen::of(value),
            false => Seen::Ignored,
        };
        for rule in rules {
            match rule {
                Rule::Properties(_)
                | Rule::PropertyNames(_)
                | Rule::Items { .. }
                | Rule::Contains { .. }
                | Rule::Unevaluated(..) => self.parts(rule, value, place, &mut own),
                Rule::AllOf(_)
                | Rule::AnyOf(_)
                | Rule::OneOf(_)
                | Rule::Not(_)
                | Rule::If { .. }
                | Rule::Ref(_)
                | Rule::DependentSchemas(_) => self.in_place(rule, value, place, &mut own),
                _ => self.alone(rule, value, place),
            }
            if self.is_over() {
                break;
            }
        }
        seen.merge(own);
        self.depth -= 1;
    }

    /// A rule that looks at the value by itself.
    fn alone(&mut self, rule: &Rule, value: &Value, place: Place<'_>) {
        let keyword = rule.keyword();
        match (rule, value) {
            (Rule::Type(types), _) if !types.allow(Types::of(value)) => {
                self.fail(place, keyword, || message::types(value, *types));
            }
            (Rule::Enum(candidates), _) if !candidates.iter().any(|one| equal(one, value)) => {
                self.fail(place, keyword, || message::none_of(value, candidates));
            }
            (Rule::Const(constant), _) if !equal(constant, value) => {
                self.fail(place, keyword, || {
                    format!("{} was expected", message::shown(constant))
                });
            }
            (Rule::Range(range, limit), Value::Number(number))
                if !in_range(number, *range, limit) =>
            {
                self.fail(place, keyword, || message::range(value, *range, limit));
            }
            (Rule::MultipleOf(divisor), Value::Number(number))
                if !number::is_multiple(number, divisor) =>
            {
                let message =
                    || format!("{} is not a multiple of {divisor}", message::shown(value));
                self.fail(place, keyword, message);
            }
            (Rule::Size(size, limit), _) if !has_size(value, *size, *limit) => {
                self.fail(place, keyword, || message::size(value, *size, *limit));
            }
            (Rule::Pattern(pattern), Value::String(text)) if !pattern.matches(text) => {
                let source = &pattern.source;
                let message = || format!("{} does not match \"{source}\"", message::shown(value));
                self.fail(place, keyword, message);
            }
            (Rule::UniqueItems, Value::Array(items)) if !are_unique(items) => {
                let message = || format!("{} has non-unique elements", message::shown(value));
                self.fail(place, keyword, message);
            }
            (Rule::Required(names), Value::Object(members)) => {
                for name in names.iter().filter(|name| !members.contains_key(*name)) {
                    let message =
                        || format!("{} is a required property", Value::from(name.as_str()));
                    self.fail(Place::Property(&place, name), keyword, message);
                }
            }
            (Rule::DependentRequired(dependents), Value::Object(members)) => {
                let present = dependents
                    .iter()
                    .filter(|(name, _)| members.contains_key(name));
                for (by, names) in present {
                    for name in names.iter().filter(|name| !members.contains_key(*name)) {
                        let message =
                            || format!("\"{name}\" is a required property beside \"{by}\"");
                        self.fail(Place::Property(&place, name), keyword, message);
                    }
                }
            }
            _ => {}
        }
    }

    /// A rule that holds other schemas against the whole value.
    fn in_place(&mut self, rule: &Rule, value: &Value, place: Place<'_>, seen: &mut Seen) {
        let keyword = rule.keyword();
        match rule {
            Rule::Ref(id) => self.node(*id, value, place, seen),
            Rule::AllOf(ids) => {
                for id in ids {
                    self.node(*id, value, place, seen);
                }
            }
            Rule::AnyOf(ids) | Rule::OneOf(ids) => {
                let mut fitting = 0;
                for id in ids {
                    fitting += usize::from(self.fits(*id, value, place, seen));
                    // For what they look at, all of them count.
                    if fitting > 0 && !self.schema.tracks && matches!(rule, Rule::AnyOf(_)) {
                        break;
                    }
                }
                match (fitting, rule) {
                    (0, _) => self.explain(ids, value, place, keyword),
                    (2.., Rule::OneOf(_)) => self.fail(place, keyword, || {
                        format!(
                            "{} is valid under more than one of the schemas listed in the 'oneOf' keyword",
                            message::shown(value)
                        )
                    }),
                    _ => {}
                }
            }
            Rule::Not(id) if self.fits(*id, value, place, &mut seen.fresh(value)) => {
                let message = || format!("{} is what 'not' excludes", message::shown(value));
                self.fail(place, keyword, message);
            }
            Rule::If {
                condition,
                then,
                otherwise,
            } => {
                let branch = match self.fits(*condition, value, place, seen) {
                    true => then,
                    false => otherwise,
                };
                if let Some(id) = branch {
                    self.node(*id, value, place, seen);
                }
            }
            Rule::DependentSchemas(dependents) => {
                for (name, id) in dependents {
                    if value.get(name).is_some() {
                        self.node(*id, value, place, seen);
                    }
                }
            }
            _ => {}
        }
    }

    /// Tells why `value` fits none of `ids`: by the one that is meant for its type, if there is one.
    fn explain(&mut self, ids: &[Id], value: &Value, place: Place<'_>, keyword: &str) {
        let mut meant = ids
            .iter()
            .filter(|id| self.may_be(**id, Types::of(value), 0));
        if self.problems.is_some()
            && let (Some(id), None) = (meant.next(), meant.next())
        {
            return self.node(*id, value, place, &mut Seen::Ignored);
        }
        self.fail(place, keyword, || {
            format!(
                "{} is not valid under any of the schemas listed in the '{keyword}' keyword",
                message::shown(value)
            )
        });
    }

    /// Whether a value of type `types` may fit schema `id`, as far as that says so directly.
    fn may_be(&self, id: Id, types: Types, depth: usize) -> bool {
        let Some(Node::Rules(rules)) = self.schema.nodes.get(id) else {
            return false;
        };
        rules.iter().all(|rule| match rule {
            Rule::Type(allowed) => allowed.allow(types),
            Rule::Ref(id) => depth >= DEEPEST || self.may_be(*id, types, depth + 1),
            Rule::Const(constant) => Types::of(constant) == types,
            _ => true,
        })
    }
}

fn in_range(number: &Number, range: Range, limit: &Number) -> bool {
    let order = number::compare(number, limit);
    match range {
        Range::Minimum => order.is_ge(),
        Range::ExclusiveMinimum => order.is_gt(),
        Range::Maximum => order.is_le(),
        Range::ExclusiveMaximum => order.is_lt(),
    }
}

fn has_size(value: &Value, size: Size, limit: u64) -> bool {
    let count = match (size, value) {
        (Size::MinLength | Size::MaxLength, Value::String(text)) => text.chars().count(),
        (Size::MinItems | Size::MaxItems, Value::Array(items)) => items.len(),
        (Size::MinProperties | Size::MaxProperties, Value::Object(members)) => members.len(),
        _ => return true,
    };
    let count = count as u64;
    match size {
        Size::MinLength | Size::MinItems | Size::MinProperties => count >= limit,
        Size::MaxLength | Size::MaxItems | Size::MaxProperties => count <= limit,
    }
}
