//! Making rules of a schema.

mod keyword;
mod resource;

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::rule::{Id, Node, Part, Properties, Range, Rule, Schema, Size};
use keyword::Keyword;
use resource::Resources;

/// # Errors
///
/// Where `schema` is none, and why.
pub(super) fn compile(schema: &Value) -> Result<Schema, String> {
    let mut compiler = Compiler {
        resources: Resources::of(schema),
        nodes: Vec::new(),
        ids: HashMap::new(),
        waiting: Vec::new(),
    };
    compiler.id(schema, "");
    // Schemas refer to one another, in circles too: each waits for its turn.
    while let Some((id, schema, location)) = compiler.waiting.pop() {
        let node = compiler.node(schema, &location)?;
        if let Some(place) = compiler.nodes.get_mut(id) {
            *place = node;
        }
    }
    let nodes = compiler.nodes;
    refuse_circles(&nodes)?;
    let asks = |rule: &Rule| matches!(rule, Rule::Unevaluated(..));
    let tracks = nodes
        .iter()
        .any(|node| matches!(node, Node::Rules(rules) if rules.iter().any(asks)));
    Ok(Schema { nodes, tracks })
}

struct Compiler<'s> {
    resources: Resources<'s>,
    nodes: Vec<Node>,
    /// By where each schema is in memory, which is what tells two equal ones apart.
    ids: HashMap<*const Value, Id>,
    waiting: Vec<(Id, &'s Value, String)>,
}

impl<'s> Compiler<'s> {
    /// The node of `schema`, which is made later.
    fn id(&mut self, schema: &'s Value, location: impl Into<String>) -> Id {
        *self
            .ids
            .entry(std::ptr::from_ref(schema))
            .or_insert_with(|| {
                let id = self.nodes.len();
                self.nodes.push(Node::Nothing);
                self.waiting.push((id, schema, location.into()));
                id
            })
    }

    fn node(&mut self, schema: &'s Value, location: &str) -> Result<Node, String> {
        let keywords = match schema {
            Value::Bool(true) => return Ok(Node::Rules(Box::default())),
            Value::Bool(false) => return Ok(Node::Nothing),
            Value::Object(keywords) => keywords,
            _ => return Err(Keyword::new(location, "", schema).no("a schema")),
        };
        let mut rules = Vec::new();
        for (name, value) in keywords {
            let keyword = Keyword::new(location, name, value);
            if let Some(rule) = self.simple(&keyword)? {
                rules.push(rule);
            } else if let Some(rule) = self.applicator(&keyword, schema, keywords)? {
                rules.push(rule);
            }
        }
        self.properties(keywords, location, &mut rules)?;
        self.items(keywords, location, &mut rules)?;
        self.dependencies(keywords, location, &mut rules)?;
        self.condition(keywords, location, &mut rules);
        rules.sort_by_key(order);
        Ok(Node::Rules(rules.into()))
    }

    /// A rule that needs nothing but its own value.
    fn simple(&self, keyword: &Keyword<'s, '_>) -> Result<Option<Rule>, String> {
        let size = |size| Ok(Some(Rule::Size(size, keyword.count()?)));
        let range = |range| Ok(Some(Rule::Range(range, keyword.number()?.clone())));
        Ok(Some(match keyword.name {
            "type" => Rule::Type(keyword.types()?),
            "enum" => Rule::Enum(keyword.list()?.into()),
            "const" => Rule::Const(keyword.value.clone()),
            "minimum" => return range(Range::Minimum),
            "exclusiveMinimum" => return range(Range::ExclusiveMinimum),
            "maximum" => return range(Range::Maximum),
            "exclusiveMaximum" => return range(Range::ExclusiveMaximum),
            "multipleOf" => Rule::MultipleOf(keyword.divisor()?.clone()),
            "minLength" => return size(Size::MinLength),
            "maxLength" => return size(Size::MaxLength),
            "minItems" => return size(Size::MinItems),
            "maxItems" => return size(Size::MaxItems),
            "minProperties" => return size(Size::MinProperties),
            "maxProperties" => return size(Size::MaxProperties),
            "pattern" => Rule::Pattern(keyword.pattern(keyword.text()?)?),
            "uniqueItems" => match keyword.flag()? {
                true => Rule::UniqueItems,
                false => return Ok(None),
            },
            "required" => Rule::Required(keyword.names()?.into()),
            "dependentRequired" => Rule::DependentRequired(keyword.names_by_name()?.into()),
            _ => return Ok(None),
        }))
    }

    /// A rule that holds other schemas against the value or its parts.
    fn applicator(
        &mut self,
        keyword: &Keyword<'s, '_>,
        schema: &'s Value,
        keywords: &'s Map<String, Value>,
    ) -> Result<Option<Rule>, String> {
        Ok(Some(match keyword.name {
            "$ref" | "$dynamicRef" => {
                let target = self.resources.find(schema, keyword.text()?);
                let target = target.map_err(|reason| keyword.wrong(&reason))?;
                Rule::Ref(self.id(target, keyword.text()?))
            }
            "allOf" => Rule::AllOf(self.all(keyword)?),
            "anyOf" => Rule::AnyOf(self.all(keyword)?),
            "oneOf" => Rule::OneOf(self.all(keyword)?),
            "not" => Rule::Not(self.one(keyword)),
            "propertyNames" => Rule::PropertyNames(self.one(keyword)),
            "contains" => {
                let bound = |name| {
                    let value = keywords.get(name);
                    let count = value.map(|value| keyword.beside(name, value).count());
                    count.transpose()
                };
                Rule::Contains {
                    item: self.one(keyword),
                    min: bound("minContains")?.unwrap_or(1),
                    max: bound("maxContains")?,
                }
            }
            "dependentSchemas" => Rule::DependentSchemas(self.by_name(keyword)?.into()),
            "unevaluatedItems" => Rule::Unevaluated(Part::Items, self.one(keyword)),
            "unevaluatedProperties" => Rule::Unevaluated(Part::Properties, self.one(keyword)),
            _ => return Ok(None),
        }))
    }

    fn properties(
        &mut self,
        keywords: &'s Map<String, Value>,
        location: &str,
        rules: &mut Vec<Rule>,
    ) -> Result<(), String> {
        let keyword = |name| {
            keywords
                .get(name)
                .map(|value| Keyword::new(location, name, value))
        };
        let (named, matching, additional) = (
            keyword("properties"),
            keyword("patternProperties"),
            keyword("additionalProperties"),
        );
        if named.is_none() && matching.is_none() && additional.is_none() {
            return Ok(());
        }
        let named = named.map(|named| self.by_name(&named)).transpose()?;
        let mut patterns = Vec::new();
        if let Some(matching) = &matching {
            for (pattern, id) in self.by_name(matching)? {
                patterns.push((matching.pattern(&pattern)?, id));
            }
        }
        rules.push(Rule::Properties(Box::new(Properties {
            named: named.into_iter().flatten().collect(),
            matching: patterns,
            additional: additional.map(|additional| self.one(&additional)),
        })));
        Ok(())
    }

    fn items(
        &mut self,
        keywords: &'s Map<String, Value>,
        location: &str,
        rules: &mut Vec<Rule>,
    ) -> Result<(), String> {
        let keyword = |name| {
            keywords
                .get(name)
                .map(|value| Keyword::new(location, name, value))
        };
        // Before 2020-12, `items` was a list for what is `prefixItems` now.
        let (prefix, rest) = match keyword("items") {
            Some(items) if items.value.is_array() => (Some(items), keyword("additionalItems")),
            items => (keyword("prefixItems"), items),
        };
        if prefix.is_some() || rest.is_some() {
            let prefix = prefix.map(|prefix| self.all(&prefix)).transpose()?;
            rules.push(Rule::Items {
                prefix: prefix.unwrap_or_default(),
                rest: rest.map(|rest| self.one(&rest)),
            });
        }
        Ok(())
    }

    /// What drafts before 2019-09 call `dependentRequired` and `dependentSchemas`, in one.
    fn dependencies(
        &mut self,
        keywords: &'s Map<String, Value>,
        location: &str,
        rules: &mut Vec<Rule>,
    ) -> Result<(), String> {
        let Some(value) = keywords.get("dependencies") else {
            return Ok(());
        };
        let keyword = Keyword::new(location, "dependencies", value);
        let location = keyword.location();
        let (mut required, mut schemas) = (Vec::new(), Vec::new());
        for (name, value) in keyword.members()? {
            let dependency = Keyword::new(&location, name, value);
            match value {
                Value::Array(_) => required.push((name.clone(), dependency.names()?)),
                _ => schemas.push((name.clone(), self.one(&dependency))),
            }
        }
        rules.push(Rule::DependentRequired(required.into()));
        rules.push(Rule::DependentSchemas(schemas.into()));
        Ok(())
    }

    fn condition(
        &mut self,
        keywords: &'s Map<String, Value>,
        location: &str,
        rules: &mut Vec<Rule>,
    ) {
        let mut schema = |name| {
            let value = keywords.get(name)?;
            Some(self.one(&Keyword::new(location, name, value)))
        };
        if let Some(condition) = schema("if") {
            rules.push(Rule::If {
                condition,
                then: schema("then"),
                otherwise: schema("else"),
            });
        }
    }

    fn one(&mut self, keyword: &Keyword<'s, '_>) -> Id {
        self.id(keyword.value, keyword.location())
    }

    fn all(&mut self, keyword: &Keyword<'s, '_>) -> Result<Box<[Id]>, String> {
        let schemas = keyword.list()?.iter().enumerate();
        Ok(schemas
            .map(|(index, schema)| self.id(schema, format!("{}/{index}", keyword.location())))
            .collect())
    }

    fn by_name(&mut self, keyword: &Keyword<'s, '_>) -> Result<Vec<(String, Id)>, String> {
        let schemas = keyword.members()?.iter();
        Ok(schemas
            .map(|(name, schema)| {
                let id = self.id(schema, format!("{}/{name}", keyword.location()));
                (name.clone(), id)
            })
            .collect())
    }
}

/// What says most about a value that is wrong comes first, what asks for the others comes last.
fn order(rule: &Rule) -> u8 {
    match rule {
        Rule::Type(_) => 0,
        Rule::Unevaluated(..) => 2,
        _ => 1,
    }
}

/// Refuses schemas that come back to themselves without going into the value: nothing could be checked.
fn refuse_circles(nodes: &[Node]) -> Result<(), String> {
    let edges: Vec<Vec<Id>> = nodes
        .iter()
        .map(|node| match node {
            Node::Nothing => Vec::new(),
            Node::Rules(rules) => rules.iter().flat_map(Rule::in_place).collect(),
        })
        .collect();
    let mut pointed_at = vec![0_usize; nodes.len()];
    for &id in edges.iter().flatten() {
        pointed_at[id] += 1;
    }
    let mut free: Vec<Id> = (0..nodes.len()).filter(|id| pointed_at[*id] == 0).collect();
    let mut left = nodes.len();
    while let Some(id) = free.pop() {
        left -= 1;
        for &next in &edges[id] {
            pointed_at[next] -= 1;
            if pointed_at[next] == 0 {
                free.push(next);
            }
        }
    }
    match left {
        0 => Ok(()),
        _ => Err("it refers to itself in a circle".to_owned()),
    }
}
