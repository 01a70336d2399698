//! The documented rules of each provider for tool definitions, as a table, and a checker of tools.
//!
//! Tests of other crates include this file by its path. The rules are written down independently of the code
//! that makes the tools.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A form of a tool definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test binary makes every form")]
pub(crate) enum Form {
    OpenAiChat,
    OpenAiChatStrict,
    OpenAiResponses,
    OpenAiResponsesStrict,
    Anthropic,
    Neutral,
}

struct Rules {
    form: Form,
    /// The page that documents the rules, and the date on which it was read.
    #[allow(dead_code, reason = "for readers")]
    source: (&'static str, &'static str),
    /// The pointers of the name, the description and the schema.
    fields: [&'static str; 3],
    /// Fields with the only value that they may have.
    fixed: &'static [(&'static str, &'static str)],
    max_description: Option<usize>,
    /// Whether names of properties at the root are restricted, and to how many characters.
    max_root_property: Option<usize>,
    strict: bool,
}

const FUNCTION_CALLING: &str = "developers.openai.com/api/docs/guides/function-calling";
const STRUCTURED_OUTPUTS: &str =
    "developers.openai.com/api/docs/guides/structured-outputs#supported-schemas";
const TOOL_USE: &str = "docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use";

const CHAT: [&str; 3] = [
    "/function/name",
    "/function/description",
    "/function/parameters",
];
const RESPONSES: [&str; 3] = ["/name", "/description", "/parameters"];
const MESSAGES: [&str; 3] = ["/name", "/description", "/input_schema"];

const PROVIDERS: &[Rules] = &[
    Rules {
        form: Form::OpenAiChat,
        source: (FUNCTION_CALLING, "2026-07-30"),
        fields: CHAT,
        fixed: &[("/type", "\"function\"")],
        max_description: Some(1_024),
        max_root_property: None,
        strict: false,
    },
    Rules {
        form: Form::OpenAiChatStrict,
        source: (STRUCTURED_OUTPUTS, "2026-07-30"),
        fields: CHAT,
        fixed: &[("/type", "\"function\""), ("/function/strict", "true")],
        max_description: Some(1_024),
        max_root_property: None,
        strict: true,
    },
    Rules {
        form: Form::OpenAiResponses,
        // A tool that does not say is made strict there.
        source: (FUNCTION_CALLING, "2026-07-30"),
        fields: RESPONSES,
        fixed: &[("/type", "\"function\""), ("/strict", "false")],
        max_description: Some(1_024),
        max_root_property: None,
        strict: false,
    },
    Rules {
        form: Form::OpenAiResponsesStrict,
        source: (STRUCTURED_OUTPUTS, "2026-07-30"),
        fields: RESPONSES,
        fixed: &[("/type", "\"function\""), ("/strict", "true")],
        max_description: Some(1_024),
        max_root_property: None,
        strict: true,
    },
    Rules {
        form: Form::Anthropic,
        // The names of properties are documented by the error of the API only.
        source: (TOOL_USE, "2026-07-31"),
        fields: MESSAGES,
        fixed: &[],
        max_description: None,
        max_root_property: Some(64),
        strict: false,
    },
    Rules {
        form: Form::Neutral,
        // The common part of the others.
        source: (TOOL_USE, "2026-07-31"),
        fields: MESSAGES,
        fixed: &[],
        max_description: None,
        max_root_property: Some(64),
        strict: false,
    },
];

/// Keywords that no provider takes at the root.
const REFUSED_AT_ROOT: &[&str] = &["$ref", "allOf", "anyOf", "const", "enum", "not", "oneOf"];

/// Keywords that hold one schema, a list of schemas, and schemas by name.
const ONE: &[&str] = &[
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
];
const SWITCHES: &[&str] = &[
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
];
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED: &[&str] = &[
    "$defs",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// The keywords of strict schemas, by the type to which they belong.
const STRICT_KEYWORDS: &[(&str, &[&str])] = &[
    (
        "",
        &["$defs", "$ref", "anyOf", "description", "enum", "type"],
    ),
    (
        "object",
        &["additionalProperties", "properties", "required"],
    ),
    ("array", &["items", "maxItems", "minItems"]),
    ("string", &["format", "pattern"]),
    ("number", NUMBERS),
    ("integer", NUMBERS),
    ("boolean", &[]),
    ("null", &[]),
];
const NUMBERS: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];
const STRICT_FORMATS: &[&str] = &[
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uuid",
];

/// Checks `tool` against the rules of `form`, and returns it.
///
/// # Panics
///
/// Lists every violated rule.
#[track_caller]
pub(crate) fn checked(form: Form, tool: Value) -> Value {
    let violations = violations(form, &tool);
    assert!(
        violations.is_empty(),
        "{form:?} tool violates:\n{}\n{tool:#}",
        violations.join("\n")
    );
    tool
}

/// The rules of `form` that `tool` violates.
pub(crate) fn violations(form: Form, tool: &Value) -> Vec<String> {
    let rules = PROVIDERS.iter().find(|rules| rules.form == form).unwrap();
    let mut found = Vec::new();
    let [name, description, schema] = rules.fields.map(|pointer| tool.pointer(pointer));
    let name = name.and_then(Value::as_str).unwrap_or_default();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !(1..=64).contains(&name.len()) || !name.chars().all(is_allowed) {
        found.push(format!("name '{name}'"));
    }
    match (description.and_then(Value::as_str), rules.max_description) {
        (None, _) => found.push("no description".to_owned()),
        (Some(text), Some(max)) if text.chars().count() > max => {
            found.push(format!("description of more than {max} characters"));
        }
        _ => {}
    }
    for (pointer, value) in rules.fixed {
        if tool.pointer(pointer).map(Value::to_string).as_deref() != Some(value) {
            found.push(format!("{pointer} is not {value}"));
        }
    }
    let Some(Value::Object(root)) = schema else {
        found.push("the schema is not an object".to_owned());
        return found;
    };
    if root.get("type") != Some(&Value::from("object")) {
        found.push("the root is not of type object".to_owned());
    }
    for keyword in REFUSED_AT_ROOT
        .iter()
        .filter(|keyword| root.contains_key(**keyword))
    {
        found.push(format!("{keyword} at the root"));
    }
    match (root.get("properties"), rules.max_root_property) {
        (Some(Value::Object(properties)), Some(max)) => {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            let mut names = properties.keys();
            if !names.all(|n| (1..=max).contains(&n.len()) && n.chars().all(is_allowed)) {
                found.push("the name of a property at the root".to_owned());
            }
        }
        (Some(Value::Object(_)), None) => {}
        _ => found.push("no properties at the root".to_owned()),
    }
    let root = Value::Object(root.clone());
    let mut totals = Totals::default();
    walk(&root, &mut |node, at| match node {
        Value::Object(node) => {
            if let Some(reference) = node.get("$ref") {
                let target = reference.as_str().and_then(|text| resolve(&root, text));
                if target.is_none() {
                    found.push(format!("{at}: {reference} leads nowhere"));
                }
            }
            if rules.strict {
                strict_violations(node, at, &mut found);
                totals.add(node);
            }
        }
        _ => found.push(format!("{at}: {node} is a boolean schema")),
    });
    if rules.strict {
        let levels = levels(&root);
        for (total, max, of) in [
            (totals.properties, 5_000, "properties"),
            (levels, 10, "levels of nesting"),
            (totals.characters, 120_000, "characters of names and values"),
            (totals.values, 1_000, "enumerated values"),
        ] {
            if total > max {
                found.push(format!("{total} {of}, at most {max} are allowed"));
            }
        }
    }
    found
}

/// Calls `visit` with every schema in `node`, which is at `at`.
fn walk(node: &Value, visit: &mut dyn FnMut(&Value, &str)) {
    fn inner(node: &Value, at: &str, visit: &mut dyn FnMut(&Value, &str)) {
        visit(node, at);
        for (keyword, child) in node.as_object().into_iter().flatten() {
            let here = format!("{at}/{keyword}");
            let keyword = keyword.as_str();
            if ONE.contains(&keyword) || (SWITCHES.contains(&keyword) && !child.is_boolean()) {
                inner(child, &here, visit);
            } else if LISTS.contains(&keyword) {
                for child in child.as_array().unwrap() {
                    inner(child, &here, visit);
                }
            } else if NAMED.contains(&keyword) {
                for (name, child) in child.as_object().unwrap() {
                    inner(child, &format!("{here}/{name}"), visit);
                }
            }
        }
    }
    inner(node, "", visit);
}

/// The schema in `root` to which `reference` leads.
pub(crate) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    let mut decoded = Vec::new();
    let mut bytes = fragment.bytes();
    while let Some(byte) = bytes.next() {
        let digits = [bytes.clone().next(), bytes.clone().nth(1)];
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                let digits = String::from_utf8(vec![high, low]).ok()?;
                decoded.push(u8::from_str_radix(&digits, 16).ok()?);
                bytes.nth(1);
            }
            _ => decoded.push(byte),
        }
    }
    root.pointer(&String::from_utf8(decoded).ok()?)
}

fn strict_violations(node: &Map<String, Value>, at: &str, found: &mut Vec<String>) {
    let mut types: Vec<&str> = match node.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if types.is_empty() && !node.contains_key("$ref") && !node.contains_key("anyOf") {
        found.push(format!("{at}: no type"));
    }
    types.push("");
    let allowed: BTreeSet<&str> = STRICT_KEYWORDS
        .iter()
        .filter(|(name, _)| types.contains(name))
        .flat_map(|(_, keywords)| *keywords)
        .copied()
        .collect();
    for keyword in node
        .keys()
        .filter(|keyword| !allowed.contains(keyword.as_str()))
    {
        found.push(format!("{at}: {keyword} is not a strict keyword here"));
    }
    if node.contains_key("$ref") && node.len() > 1 {
        found.push(format!("{at}: keywords next to $ref"));
    }
    if let Some(format) = node.get("format").and_then(Value::as_str)
        && !STRICT_FORMATS.contains(&format)
    {
        found.push(format!("{at}: format '{format}'"));
    }
    if types.contains(&"array") && !node.contains_key("items") {
        found.push(format!("{at}: no items"));
    }
    if types.contains(&"object") {
        let names: Option<BTreeSet<&str>> = node
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect());
        let required = node.get("required").and_then(Value::as_array);
        let required: Option<BTreeSet<&str>> =
            required.map(|names| names.iter().filter_map(Value::as_str).collect());
        if names.is_none() || names != required {
            found.push(format!("{at}: required is not the list of all properties"));
        }
        if node.get("additionalProperties") != Some(&Value::Bool(false)) {
            found.push(format!("{at}: further properties are allowed"));
        }
    }
    if let Some(Value::Array(values)) = node.get("enum") {
        let characters: usize = values.iter().filter_map(Value::as_str).map(str::len).sum();
        if values.is_empty() || (values.len() > 250 && characters > 15_000) {
            found.push(format!("{at}: the size of an enumeration"));
        }
    }
}

#[derive(Default)]
struct Totals {
    properties: usize,
    characters: usize,
    values: usize,
}

impl Totals {
    fn add(&mut self, node: &Map<String, Value>) {
        for keyword in ["properties", "$defs"] {
            let names = node.get(keyword).and_then(Value::as_object);
            for name in names.into_iter().flatten().map(|(name, _)| name) {
                self.properties += usize::from(keyword == "properties");
                self.characters += name.chars().count();
            }
        }
        for value in node
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.values += 1;
            self.characters += value.as_str().map_or(0, |text| text.chars().count());
        }
    }
}

/// The levels of objects in objects, without those reached by references.
fn levels(node: &Value) -> usize {
    let Value::Object(fields) = node else {
        return 0;
    };
    let own = usize::from(fields.contains_key("properties"));
    let below = fields
        .iter()
        .map(|(keyword, child)| match keyword.as_str() {
            "items" => own + levels(child),
            "properties" => {
                let children = child.as_object().into_iter().flatten();
                own + children.map(|(_, child)| levels(child)).max().unwrap_or(0)
            }
            "$defs" => {
                let children = child.as_object().into_iter().flatten();
                children.map(|(_, child)| levels(child)).max().unwrap_or(0)
            }
            "anyOf" => {
                let children = child.as_array().into_iter().flatten();
                own + children.map(levels).max().unwrap_or(0)
            }
            _ => own,
        });
    below.max().unwrap_or(own)
}
