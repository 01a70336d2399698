//! Validation by the crate `jsonschema`, with a bound on what it may cost.
//!
//! Drafts 4, 6, 7, 2019-09 and 2020-12 are supported. The formats of texts are checked, encodings are not. A
//! schema refers only to its own parts, and patterns do not look around.

use jsonschema::{Draft, EmailOptions, PatternOptions};
use serde_json::Value;

use super::budget::{
    Budget, CHECK_STEPS, Exceeded, MAX_PARSED_BYTES, MAX_PATTERN_BYTES, Size, exceeds_memory,
};
use super::pattern;
use super::prepare::{Prepared, TranslatedPatterns, prepare};
use super::problem::{BUDGET_EXCEEDED, Problem, Problems};
use super::report::{self, MAX_LOCATION_CHARS, MAX_MESSAGE_CHARS};
use super::shorten::shorten;

/// Characters of the reason why a schema is refused.
const MAX_REASON_CHARS: usize = MAX_LOCATION_CHARS + MAX_MESSAGE_CHARS;

/// Levels of recursion that fit into the stack of every thread.
const MAX_LEVELS_ON_THIS_STACK: usize = 32;

/// The stack of a thread for deeper recursion. The system provides only the part that is used.
const LARGE_STACK_BYTES: usize = 64 * 1024 * 1024;

/// A compiled schema.
pub(crate) struct Validator {
    budget: Budget,
    library: jsonschema::Validator,
    patterns: TranslatedPatterns,
}

impl Validator {
    /// # Errors
    ///
    /// The reason why `schema` is not valid or not supported, with the place, in up to
    /// [`MAX_REASON_CHARS`] characters of what may be a peer's text.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        Self::compiled(schema).map_err(|reason| shorten(&reason, MAX_REASON_CHARS))
    }

    fn compiled(schema: &Value) -> Result<Self, String> {
        let size = Size::of(schema)?;
        let draft = draft(schema);
        let Prepared { schema, patterns } = prepare(schema);
        let budget = Budget::new(&schema, &size, draft, &patterns)?;
        let depth = budget.compile_depth();
        let library = on_sufficient_stack(depth, || compile(&schema, draft, &patterns))??;
        Ok(Self {
            budget,
            library,
            // Only messages need the originals.
            patterns: patterns
                .into_iter()
                .filter(|(translated, original)| translated != original)
                .collect(),
        })
    }

    /// Whether the check of a value of a plain type is within the budget, however its `values` are nested.
    pub(super) fn allows_plain(&self, values: usize, bytes: usize) -> bool {
        self.budget.allows_plain(values, bytes)
    }

    /// The violations of the schema by `value`.
    pub(crate) fn problems(&self, value: &Value) -> Problems {
        if exceeds_memory(value) {
            return too_much_memory();
        }
        match self.budget.check(value) {
            Ok(levels) => on_sufficient_stack(levels, || self.find(value))
                .unwrap_or_else(|reason| limit(reason).into()),
            Err(Exceeded::Steps) => Problems::too_large(limit(format!(
                "{BUDGET_EXCEEDED}: the value takes more than {CHECK_STEPS} steps; send a \
                 smaller value"
            ))),
            Err(Exceeded::Depth) => {
                limit(format!("{BUDGET_EXCEEDED}: the value is nested too deep")).into()
            }
        }
    }

    fn find(&self, value: &Value) -> Problems {
        if self.library.is_valid(value) {
            return Problems::default();
        }
        if self.budget.allows_list(value) {
            return report::problems(self.library.iter_errors(value), &self.patterns);
        }
        let mut problems = Problems::default();
        if self.budget.allows_first(value) {
            problems = report::problems(
                self.library.validate(value).err().into_iter(),
                &self.patterns,
            );
        }
        problems.listed.push(limit(match problems.is_empty() {
            false => "further problems are not listed: the value is too large".to_owned(),
            true => "invalid value: it does not fit the schema; it is too large to list problems"
                .to_owned(),
        }));
        problems
    }
}

/// Checks that values can be validated against `schema`.
///
/// # Errors
///
/// The reason why `schema` is not valid or not supported, with the place.
pub(crate) fn check_schema(schema: &Value) -> Result<(), String> {
    Validator::new(schema).map(|_| ())
}

/// The problem of a value that takes more memory than [`MAX_PARSED_BYTES`].
pub(crate) fn too_much_memory() -> Problems {
    Problems::too_large(limit(format!(
        "{BUDGET_EXCEEDED}: a value may take {} MiB of memory when it is parsed; send a smaller value",
        MAX_PARSED_BYTES / (1024 * 1024)
    )))
}

/// A problem of the value as a whole.
fn limit(message: String) -> Problem {
    Problem {
        location: String::new(),
        message,
        rule: "limit".to_owned(),
    }
}

/// The draft of `schema`: the one that it declares, or else draft 2020-12. A schema that declares none
/// and has a list of schemas as `items` or has `dependencies` was written for draft 7.
fn draft(schema: &Value) -> Draft {
    let default = match is_legacy(schema) {
        true => Draft::Draft7,
        false => Draft::Draft202012,
    };
    match default.detect(schema) {
        Draft::Unknown => default,
        known => known,
    }
}

fn is_legacy(schema: &Value) -> bool {
    let mut stack = vec![schema];
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(members) => {
                if members.get("items").is_some_and(Value::is_array)
                    || members.get("dependencies").is_some_and(Value::is_object)
                    || (members.get("$id").and_then(Value::as_str))
                        .is_some_and(|id| id.starts_with('#'))
                {
                    return true;
                }
                for (keyword, member) in members {
                    match (keyword.as_str(), member) {
                        ("const" | "default" | "enum" | "examples", _) => {}
                        // The keys are names of properties or definitions.
                        (
                            "$defs" | "definitions" | "dependentSchemas" | "patternProperties"
                            | "properties",
                            Value::Object(schemas),
                        ) => stack.extend(schemas.values()),
                        _ => stack.push(member),
                    }
                }
            }
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    false
}

/// Bytes of a text that is checked for the format `regex`.
const MAX_REGEX_BYTES: usize = 10_000;

fn compile(
    schema: &Value,
    draft: Draft,
    patterns: &TranslatedPatterns,
) -> Result<jsonschema::Validator, String> {
    jsonschema::options()
        .with_draft(draft)
        .offline()
        .should_validate_formats(true)
        .with_email_options(EmailOptions::default().without_display_text())
        .with_format("ip", |text| text.parse::<std::net::IpAddr>().is_ok())
        .with_format("regex", |text| {
            text.len() <= MAX_REGEX_BYTES && pattern::translate(text).is_ok()
        })
        .without_content_media_type_support("application/json")
        .without_content_encoding_support("base64")
        .with_pattern_options(PatternOptions::regex().size_limit(2 * MAX_PATTERN_BYTES))
        .build(schema)
        .map_err(|error| match error.instance_path().as_str() {
            "" => report::message(&error, patterns),
            location => format!("{location}: {}", report::message(&error, patterns)),
        })
}

/// Runs `task`, on a thread of its own if it recurses through more than a few levels.
///
/// # Errors
///
/// When the system does not start a thread.
fn on_sufficient_stack<T: Send>(
    levels: usize,
    task: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    if levels <= MAX_LEVELS_ON_THIS_STACK {
        return Ok(task());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(LARGE_STACK_BYTES)
            .spawn_scoped(scope, task)
            .map_err(|error| format!("cannot start a thread for validation: {error}"))?;
        thread
            .join()
            .map_err(|_| "the validation panicked".to_owned())
    })
}
