//! Property tests: strict forms and wrapped inputs keep the meaning of generated schemas.

use openagentmesh_protocol::tool::{OpenAiApi, ToolError};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRng;
use serde_json::{Map, Value, json};

use crate::provider_rules::{Form, checked, resolve};
use crate::tool_forms::{agent, schemas};

/// Patterns and formats, each with a text that fits.
const TEXTS: &[(&str, &str, &str)] = &[
    ("pattern", "^[a-z]+$", "abc"),
    ("pattern", "^[A-Z]{2}$", "SE"),
    ("format", "date", "2026-01-02"),
    ("format", "uuid", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
    ("format", "int32", "any"),
];

/// Limit of the nesting of sampled values.
const MAX_NESTING: u32 = 14;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        Just(json!({})),
        (0..3_i64, 3..9_i64, any::<bool>()).prop_map(|(min, max, exclusive)| {
            let (low, high) = if exclusive {
                ("exclusiveMinimum", "exclusiveMaximum")
            } else {
                ("minimum", "maximum")
            };
            json!({"type": "integer", low: min, high: max + 2})
        }),
        Just(json!({"type": "number", "multipleOf": 0.5})),
        (0..3_u32, 3..9_u32).prop_map(|(min, max)| {
            json!({"type": "string", "minLength": min, "maxLength": max})
        }),
        select(TEXTS).prop_map(|(keyword, value, _)| json!({"type": "string", keyword: value})),
        Just(json!({"type": ["string", "null"], "title": "T", "default": "x"})),
        Just(json!({"type": ["integer", "string"]})),
        proptest::collection::vec(enumerated(), 1..4).prop_map(|values| json!({"enum": values})),
        enumerated().prop_map(|value| json!({"const": value, "description": "One value."})),
        select(&["#", "#/$defs/A", "#/$defs/B"][..]).prop_map(|target| json!({"$ref": target})),
        select(&["#/$defs/A", "#/$defs/B"][..])
            .prop_map(|target| json!({"$ref": target, "description": "D"})),
    ]
}

fn enumerated() -> impl Strategy<Value = Value> {
    select(&["\"a\"", "\"b\"", "\"c\"", "1", "2", "null", "true"][..])
        .prop_map(|text| serde_json::from_str(text).unwrap())
}

fn object(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let field = (select(&["a", "b", "c", "kind"][..]), inner, any::<bool>());
    let fields = proptest::collection::vec(field, 0..4);
    (fields, 0..4_u8).prop_map(|(fields, further)| {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (name, schema, is_required) in fields {
            if is_required && !properties.contains_key(name) {
                required.push(name);
            }
            properties.insert(name.to_owned(), schema);
        }
        let mut node = json!({"type": "object", "properties": properties, "required": required});
        match further {
            0 => node["additionalProperties"] = json!(false),
            1 => node["minProperties"] = json!(1),
            _ => {}
        }
        node
    })
}

fn schema() -> impl Strategy<Value = Value> {
    scalar().boxed().prop_recursive(3, 24, 3, |inner| {
        let variants = proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            4 => object(inner.clone()),
            2 => (inner.clone(), 0..2_u8, any::<bool>()).prop_map(|(items, min, unique)| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": 3,
                    "uniqueItems": unique && min == 7})
            }),
            1 => (variants.clone(), select(&["anyOf", "oneOf", "allOf"][..]))
                .prop_map(|(variants, keyword)| json!({ keyword: variants })),
            1 => (tagged(inner.clone()), select(&["anyOf", "oneOf"][..]))
                .prop_map(|(variants, keyword)| json!({ keyword: variants })),
            1 => (object(inner.clone()), tagged(inner), select(&["anyOf", "oneOf"][..]))
                .prop_map(|(mut node, variants, keyword)| {
                    node[keyword] = variants;
                    node
                }),
            1 => variants.prop_map(|items| {
                let length = items.len();
                json!({"type": "array", "prefixItems": items, "minItems": length, "items": false})
            }),
        ]
    })
}

/// Objects that differ in a tag or in the name of their only property, as of a Rust enum.
fn tagged(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    proptest::collection::vec((inner, any::<bool>()), 1..4).prop_map(|variants| {
        let variants = variants
            .into_iter()
            .enumerate()
            .map(|(index, (schema, is_tag))| {
                if is_tag {
                    json!({"type": "object", "required": ["kind"],
                    "properties": {"kind": {"const": format!("k{index}")}, "value": schema}})
                } else {
                    let name = format!("V{index}");
                    json!({"type": "object", "properties": {&name: schema}, "required": [&name]})
                }
            });
        variants.collect()
    })
}

/// A whole input schema, with the definitions to which its parts refer.
fn input() -> impl Strategy<Value = Value> {
    (schema(), schema(), schema()).prop_map(|(mut root, a, b)| {
        root["$defs"] = json!({"A": a, "B": b});
        root
    })
}

/// Values that fit a strict form.
struct Sampler<'a> {
    form: &'a Value,
    rng: TestRng,
    steps: u32,
}

impl Sampler<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end.max(1))
    }

    /// A value that fits `node`, at most `nesting` levels deep.
    fn value(&mut self, node: &Value, nesting: u32) -> Option<Value> {
        self.steps = self.steps.checked_sub(1)?;
        let nesting = nesting.checked_sub(1)?;
        if let Some(reference) = node["$ref"].as_str() {
            return self.value(resolve(self.form, reference).unwrap(), nesting);
        }
        if let Some(variants) = node["anyOf"].as_array() {
            let start = self.below(variants.len());
            let mut order = (0..variants.len()).map(|i| &variants[(start + i) % variants.len()]);
            return order.find_map(|variant| self.value(variant, nesting));
        }
        if let Some(values) = node["enum"].as_array() {
            return Some(values[self.below(values.len())].clone());
        }
        let (name, is_nullable) = match &node["type"] {
            Value::Array(names) => (names[0].as_str().unwrap(), true),
            name => (name.as_str().unwrap(), false),
        };
        if is_nullable && self.below(2) == 0 {
            return Some(Value::Null);
        }
        let value = self.typed(name, node, nesting);
        value.or_else(|| is_nullable.then_some(Value::Null))
    }

    fn typed(&mut self, name: &str, node: &Value, nesting: u32) -> Option<Value> {
        match name {
            "null" => Some(Value::Null),
            "boolean" => Some(json!(self.below(2) == 0)),
            "integer" | "number" => {
                let start = self.below(16);
                let numbers = (0..16).map(|i| f64::from((i + start as u32) % 16) - 2.0);
                let limit = |keyword: &str| node[keyword].as_f64();
                let mut fitting = numbers.filter(|number| {
                    limit("minimum").is_none_or(|min| *number >= min)
                        && limit("maximum").is_none_or(|max| *number <= max)
                        && limit("exclusiveMinimum").is_none_or(|min| *number > min)
                        && limit("exclusiveMaximum").is_none_or(|max| *number < max)
                });
                fitting.next().map(|number| json!(number))
            }
            "string" => self.text(node).map(Value::from),
            "array" => {
                let min = node["minItems"].as_u64().unwrap_or(0) as usize;
                let max = node["maxItems"].as_u64().unwrap_or(3) as usize;
                let length = min + self.below(max - min + 1);
                let items = |length: usize, sampler: &mut Self| {
                    let items = (0..length).map(|_| sampler.value(&node["items"], nesting));
                    items.collect::<Option<Vec<_>>>()
                };
                items(length, self)
                    .or_else(|| items(min, self))
                    .map(Value::from)
            }
            _ => {
                let mut fields = Map::new();
                for (name, field) in node["properties"].as_object().unwrap() {
                    fields.insert(name.clone(), self.value(field, nesting)?);
                }
                Some(Value::Object(fields))
            }
        }
    }

    /// `None` if the text of the format does not have the length.
    fn text(&mut self, node: &Value) -> Option<String> {
        let known = TEXTS
            .iter()
            .find(|(keyword, value, _)| node[*keyword] == *value);
        let range = node["pattern"].as_str().and_then(length_range);
        match (known, range) {
            (Some((_, _, text)), None) => Some((*text).to_owned()),
            (Some((_, _, text)), Some((min, max))) => {
                let length = text.chars().count();
                let fits = length >= min && max.is_none_or(|max| length <= max);
                fits.then(|| (*text).to_owned())
            }
            (None, Some((min, max))) => {
                let max = max.unwrap_or(min + 5);
                Some("é".repeat(min + self.below(max - min + 1)))
            }
            (None, None) => Some("text".to_owned()),
        }
    }
}

/// The lengths that a pattern of the strict form allows.
fn length_range(pattern: &str) -> Option<(usize, Option<usize>)> {
    let range = pattern.strip_prefix(r"^[\s\S]{")?.strip_suffix("}$")?;
    let (min, max) = range.split_once(',')?;
    Some((min.parse().ok()?, max.parse().ok()))
}

/// Whether a text in `form` has a format and a length, which may exclude each other.
fn has_format_with_length(form: &Value) -> bool {
    match form {
        Value::Object(fields) => {
            fields.contains_key("format") && fields.contains_key("pattern")
                || fields.values().any(has_format_with_length)
        }
        Value::Array(items) => items.iter().any(has_format_with_length),
        _ => false,
    }
}

/// A value of any form, often one that resembles inputs of the generated schemas.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        enumerated(),
        any::<i8>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let name = select(&["a", "b", "c", "kind", "value", "V0", "V1", "input"][..]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4).prop_map(|fields| {
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::with_cases(600)
    })]

    #[test]
    fn value_of_strict_form_fits_the_schema_without_its_nulls(
        schema in input(), rng in any::<u64>().prop_perturb(|_, rng| rng),
    ) {
        let contract = agent(schema.clone());
        let tool = match contract.to_openai_tool(OpenAiApi::Chat, true) {
            Ok(tool) => checked(Form::OpenAiChatStrict, tool),
            Err(ToolError::NotStrict { .. } | ToolError::InvalidSchema { .. }) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let form = &tool["function"]["parameters"];
        let (original, strict) = (
            jsonschema::validator_for(&schema).unwrap(),
            jsonschema::validator_for(form).unwrap(),
        );
        let mut sampler = Sampler { form, rng, steps: 0 };
        let mut found = 0;
        for nesting in 1..=MAX_NESTING {
            sampler.steps = 2_000;
            let Some(value) = sampler.value(form, nesting) else { continue };
            found += 1;
            prop_assert!(strict.is_valid(&value), "sample {value} of {form:#}");
            let input = contract.tool_payload(value.clone());
            prop_assert!(
                original.is_valid(&input),
                "{value} became {input}, which does not fit {schema}\nstrict: {form}"
            );
        }
        prop_assert!(found > 0 || has_format_with_length(form), "no value fits {form:#}");
    }

    #[test]
    fn wrapped_input_keeps_its_meaning(schema in input(), values in proptest::collection::vec(any_value(), 8)) {
        let contract = agent(schema.clone());
        if let Err(ToolError::InvalidSchema { reason, .. }) = contract.tool() {
            prop_assert_eq!(reason, "refers to itself for the same value");
            return Ok(());
        }
        let original = jsonschema::validator_for(&schema).unwrap();
        for (form, schema) in schemas(&contract) {
            if matches!(form, Form::OpenAiChatStrict | Form::OpenAiResponsesStrict) {
                continue;
            }
            let is_wrapped = schema["properties"].get("input").is_some();
            let loose = jsonschema::validator_for(&schema).unwrap();
            for value in &values {
                let arguments = if is_wrapped { json!({"input": value}) } else { value.clone() };
                let fits = original.is_valid(value);
                prop_assert_eq!(loose.is_valid(&arguments), fits, "{} {}", value, schema);
                if fits {
                    prop_assert_eq!(&contract.tool_payload(arguments), value);
                }
            }
        }
    }
}
