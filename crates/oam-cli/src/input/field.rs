//! One argument of the form KEY=TEXT or KEY:=JSON.

use serde_json::value::RawValue;

use super::{Source, text, without_mark};
use crate::failure::Failure;
use crate::printer::Printer;

/// A member of an object, as it is written on the command line.
#[derive(Debug)]
pub(crate) struct Field {
    pub(super) key: String,
    pub(super) value: FieldValue,
}

#[derive(Debug)]
pub(super) enum FieldValue {
    /// Text, whose type is that of the schema.
    Text(String),
    Json(Box<RawValue>),
}

impl Field {
    /// Whether `argument` has the form of a field.
    pub(crate) fn is_field(argument: &str) -> bool {
        split(argument).is_some()
    }

    /// The fields that `arguments` are. A value `@FILE` is the content of the file, `@-` that of stdin.
    ///
    /// # Errors
    ///
    /// If an argument is not a field, a file cannot be read, or a value after `:=` is not JSON.
    pub(crate) async fn read_all(
        arguments: &[String],
        printer: &Printer,
    ) -> Result<Vec<Self>, Failure> {
        let mut fields = Vec::with_capacity(arguments.len());
        let mut reads_stdin = false;
        for argument in arguments {
            let Some((key, is_json, value)) = split(argument) else {
                return Err(Failure::usage(format!(
                    "invalid input '{argument}': several arguments are members of an object; write KEY=TEXT or KEY:=JSON"
                )));
            };
            let value = match Source::of_argument(value)?.filter(|_| value.starts_with('@')) {
                None => value.to_owned(),
                Some(source) => {
                    if source == Source::Stdin && std::mem::replace(&mut reads_stdin, true) {
                        return Err(Failure::usage(format!(
                            "invalid input '{argument}': stdin can be read once only"
                        )));
                    }
                    let problem = format!("invalid value of '{key}'");
                    let bytes = source.read("the input", printer).await?;
                    let read = text(bytes, &source.name(), &problem)?;
                    without_mark(&read).to_owned()
                }
            };
            let value = if is_json {
                FieldValue::Json(RawValue::from_string(value.trim().to_owned()).map_err(
                    |error| {
                        Failure::usage(format!(
                            "invalid JSON value of '{key}': {error}; {key}=TEXT takes text without quotes"
                        ))
                    },
                )?)
            } else {
                FieldValue::Text(value)
            };
            let key = key.to_owned();
            fields.push(Self { key, value });
        }
        Ok(fields)
    }
}

/// The key, whether the value is JSON, and the value.
fn split(argument: &str) -> Option<(&str, bool, &str)> {
    let (key, value) = argument.split_once('=')?;
    let (key, is_json) = match key.strip_suffix(':') {
        Some(key) => (key, true),
        None => (key, false),
    };
    // The text of a value in JSON may contain '=' as well.
    let is_key = !key.is_empty() && !key.starts_with(['{', '[', '"']);
    is_key.then_some((key, is_json, value))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn argument_is_split_at_the_first_equals_sign() {
        assert_eq!(split("a=b=c"), Some(("a", false, "b=c")));
        assert_eq!(split("a:=[1]"), Some(("a", true, "[1]")));
        assert_eq!(split("a.b[0]="), Some(("a.b[0]", false, "")));
        assert_eq!(
            split("url=http://x/?a=b"),
            Some(("url", false, "http://x/?a=b"))
        );
        for argument in [
            "a",
            "=b",
            ":=b",
            "{\"a\": \"b=c\"}",
            "\"a=b\"",
            "[\"=\"]",
            "",
        ] {
            assert_eq!(split(argument), None, "{argument}");
        }
    }
}
