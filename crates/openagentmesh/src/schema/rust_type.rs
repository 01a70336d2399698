//! JSON Schemas of Rust types.

use std::any::TypeId;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Whether `T` is `()`, which has an empty body on the wire.
pub(crate) fn is_unit<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<()>()
}

/// The schema of a serialised `T`; `None` for `()`.
pub(crate) fn output_schema<T: JsonSchema + 'static>() -> Option<SchemaText> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    (!is_unit::<T>()).then(|| SchemaText::new(&schema_of::<T>(settings)))
}

/// The schema of the JSON from which a `T` can be deserialised.
pub(super) fn input_schema<T: JsonSchema>() -> Value {
    schema_of::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// The schema of any JSON value.
pub(crate) fn any_schema() -> Value {
    input_schema::<Value>()
}

/// A schema as text, which takes a tenth of the memory of a `Value` and is rarely read.
#[derive(Clone)]
pub(crate) struct SchemaText(Box<str>);

impl SchemaText {
    pub(crate) fn new(schema: &Value) -> Self {
        Self(schema.to_string().into())
    }

    pub(crate) fn to_value(&self) -> Value {
        // The text was written from a `Value`. Parsing fails only if that is nested more than
        // 128 levels deep; `null` is then refused as a schema.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(root) = schema.as_object_mut() {
        root.remove("$schema");
        // The title of a struct is its name; that of `Vec<u8>` is "Array_of_uint8".
        let is_named = ["properties", "enum", "oneOf", "anyOf"]
            .iter()
            .any(|k| root.contains_key(*k));
        if !is_named {
            root.remove("title");
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalar_schema_equals_that_of_other_sdks() {
        assert_eq!(input_schema::<String>(), json!({"type": "string"}));
        let given = |schema: Option<SchemaText>| schema.map(|schema| schema.to_value());
        assert_eq!(
            given(output_schema::<bool>()),
            Some(json!({"type": "boolean"}))
        );
        assert_eq!(given(output_schema::<()>()), None);
    }
}
