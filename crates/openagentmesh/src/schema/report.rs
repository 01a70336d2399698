//! The library's errors as problems.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;

use super::prepare::TranslatedPatterns;
use super::problem::{Problem, Problems};
use super::shorten::shorten;

/// Problems that are listed of one value.
pub(super) const MAX_PROBLEMS: usize = 20;

/// Characters of a message.
pub(crate) const MAX_MESSAGE_CHARS: usize = 300;

/// Characters of the location of a problem.
pub(crate) const MAX_LOCATION_CHARS: usize = 1_000;

/// Characters of a value or a name in a message.
const MAX_VALUE_CHARS: usize = 100;

/// Lists `errors`, up to [`MAX_PROBLEMS`]. Messages show the originals of `patterns`.
pub(super) fn problems<'e>(
    errors: impl Iterator<Item = ValidationError<'e>>,
    patterns: &TranslatedPatterns,
) -> Problems {
    let mut problems = Problems::default();
    for error in errors {
        add(&error, patterns, &mut problems);
    }
    problems
}

fn add(error: &ValidationError<'_>, patterns: &TranslatedPatterns, problems: &mut Problems) {
    if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind()
        && let Some(meant) = meant(error, context)
    {
        for error in meant {
            add(error, patterns, problems);
        }
    } else if problems.listed.len() < MAX_PROBLEMS {
        problems.listed.push(problem(error, patterns));
    } else {
        problems.omitted += 1;
    }
}

/// The only alternative for values of this type, if there is exactly one.
fn meant<'c, 'e>(
    error: &ValidationError<'_>,
    alternatives: &'c [Vec<ValidationError<'e>>],
) -> Option<&'c [ValidationError<'e>]> {
    let mut meant = alternatives.iter().filter(|errors| {
        !errors
            .iter()
            .any(|inner| inner.instance_path() == error.instance_path() && is_for_other_type(inner))
    });
    match (meant.next(), meant.next()) {
        (Some(errors), None) => Some(errors),
        _ => None,
    }
}

fn is_for_other_type(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        Kind::Type { .. } | Kind::FalseSchema => true,
        Kind::Constant { expected_value } => {
            std::mem::discriminant(&**expected_value)
                != std::mem::discriminant(error.instance().as_ref())
        }
        _ => false,
    }
}

fn problem(error: &ValidationError<'_>, patterns: &TranslatedPatterns) -> Problem {
    let mut location = shorten(error.instance_path().as_str(), MAX_LOCATION_CHARS);
    if let Kind::Required { property } = error.kind()
        && let Some(name) = property.as_str()
    {
        // The missing property itself.
        let name = shorten(name, MAX_VALUE_CHARS);
        location.push('/');
        location.push_str(&name.replace('~', "~0").replace('/', "~1"));
    }
    let rule = rule(error);
    let message = match (rule, error.kind()) {
        ("additionalProperties", Kind::FalseSchema) => {
            // The library reports the value of one such property, without its name.
            let value = shorten(error.instance(), MAX_VALUE_CHARS);
            format!("Additional properties are not allowed ({value} was unexpected)")
        }
        _ => message(error, patterns),
    };
    Problem {
        location,
        message,
        rule: rule.to_owned(),
    }
}

/// The library's message with the value shortened.
pub(super) fn message(error: &ValidationError<'_>, patterns: &TranslatedPatterns) -> String {
    let value = shorten(error.instance(), MAX_VALUE_CHARS);
    if let Kind::Pattern { pattern } = error.kind()
        && let Some(original) = patterns.get(pattern)
    {
        let original = shorten(original, MAX_VALUE_CHARS);
        return format!("{value} does not match \"{original}\"");
    }
    shorten(&error.masked_with(value), MAX_MESSAGE_CHARS)
}

/// The violated keyword, where the library names a more general one.
fn rule<'e>(error: &'e ValidationError<'_>) -> &'e str {
    let keyword = error.kind().keyword();
    let mut path = error.schema_path().as_str().rsplit('/');
    let (last, parent) = (path.next().unwrap_or_default(), path.next());
    let specific = match keyword {
        "required" if parent == Some("dependentRequired") => return "dependentRequired",
        "required" => last == "dependentRequired",
        "contains" => matches!(last, "minContains" | "maxContains"),
        // The schema `false`, unless it belongs to a name.
        "falseSchema" => {
            matches!(last, "items" | "additionalItems" | "additionalProperties")
                && !matches!(parent, Some("properties" | "patternProperties"))
        }
        _ => false,
    };
    if specific { last } else { keyword }
}
