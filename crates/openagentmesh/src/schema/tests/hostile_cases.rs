//! Schemas and values whose validation would cost much.

use serde_json::{Map, Value, json};

use super::hostile::Expected::{Exceeded, Invalid, Refused, Valid};
use super::hostile::{Case, case, chain, nested};

fn numbered(count: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..count).map(item).collect()
}

fn patterns(count: usize) -> (Value, Value) {
    let all = numbered(
        count,
        |n| json!({"pattern": format!("^\\p{{L}}{{100}}{n}$")}),
    );
    (json!({"allOf": all}), json!("a"))
}

/// A recursive schema of variants that differ in a tag, and a value nested `depth` deep with `last` in its midst.
fn tagged(variants: usize, depth: usize, last: Value) -> (Value, Value) {
    let variant = |n: usize| {
        json!({"type": "object", "required": ["tag", "l"],
               "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}, "tag": {"const": format!("v{n}")}}})
    };
    let mut all = numbered(variants, variant);
    if let Value::Array(all) = &mut all {
        all.push(json!({"type": "integer"}));
    }
    let wrap = |inner: Value| json!({"l": inner, "r": 1, "tag": "v0"});
    (json!({"oneOf": all}), nested(depth, last, wrap))
}

pub(super) const CASES: &[Case] = &[
    case("2 tagged variants, 60 deep", Valid, || {
        tagged(2, 60, json!(1))
    }),
    case("50 tagged variants, 60 deep", Valid, || {
        tagged(50, 60, json!(1))
    }),
    case("50 tagged variants, invalid 60 deep", Invalid, || {
        tagged(50, 60, json!({"tag": "none", "l": 1}))
    }),
    case("tags that are not texts, 60 deep", Exceeded, || {
        let (schema, value) = tagged(4, 40, json!(1));
        (
            schema,
            serde_json::from_str(&value.to_string().replace("\"v0\"", "1.5")).unwrap(),
        )
    }),
    case("plain", Invalid, || {
        (
            json!({"properties": {"text": {"minLength": 1}}}),
            json!({"text": ""}),
        )
    }),
    case("$ref to itself", Refused, || {
        (json!({"$ref": "#"}), json!(1))
    }),
    case("$ref circle", Refused, || {
        let definitions = json!({"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}});
        (json!({"$ref": "#/$defs/a", "$defs": definitions}), json!(1))
    }),
    case("recursive tree, value 100 deep", Invalid, || {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#"}}});
        (schema, nested(100, json!(1), |inner| json!({"a": inner})))
    }),
    case("oneOf of two equal $refs, 8 deep", Invalid, || {
        (chain(8, |next| json!({"oneOf": [next, next]})), json!("x"))
    }),
    case("oneOf of two equal $refs, 40 deep", Refused, || {
        (chain(40, |next| json!({"oneOf": [next, next]})), json!("x"))
    }),
    case("allOf of two equal $refs, 40 deep", Refused, || {
        (chain(40, |next| json!({"allOf": [next, next]})), json!("x"))
    }),
    case("anyOf of two equal $refs, 40 deep", Refused, || {
        (chain(40, |next| json!({"anyOf": [next, next]})), json!("x"))
    }),
    case("anyOf of one $ref, 20 deep", Invalid, || {
        (
            chain(20, |next| json!({"anyOf": [next, {"type": "null"}]})),
            json!("x"),
        )
    }),
    case("$ref and $dynamicRef, 30 deep", Refused, || {
        let mut definitions = Map::new();
        for n in 0..30 {
            let next = format!("d{}", n + 1);
            definitions.insert(
                format!("d{n}"),
                json!({"$dynamicAnchor": format!("d{n}"), "$ref": format!("#{next}"),
                       "$dynamicRef": format!("#{next}")}),
            );
        }
        definitions.insert(
            "d30".into(),
            json!({"$dynamicAnchor": "d30", "type": "integer"}),
        );
        (
            json!({"anyOf": [{"$ref": "#d0"}, {"type": "null"}], "$defs": definitions}),
            json!("x"),
        )
    }),
    case("if, then and else of $refs, 40 deep", Refused, || {
        let schema = chain(40, |next| json!({"if": next, "then": next, "else": next}));
        (schema, json!("x"))
    }),
    case(
        "dependentSchemas of two equal $refs, 40 deep",
        Refused,
        || {
            let schema = chain(
                40,
                |next| json!({"dependentSchemas": {"a": next, "b": next}}),
            );
            (schema, json!({"a": 1, "b": 1}))
        },
    ),
    case(
        "unevaluatedProperties at 40 levels of allOf",
        Refused,
        || {
            let schema = chain(
                40,
                |next| json!({"allOf": [next], "unevaluatedProperties": false}),
            );
            (schema, json!({"a": 1}))
        },
    ),
    case("recursive anyOf both ways, value 28 deep", Exceeded, || {
        let schema = json!({"anyOf": [
            {"properties": {"a": {"$ref": "#"}}, "required": ["b"]},
            {"properties": {"a": {"$ref": "#"}}, "required": ["c"]},
        ]});
        (schema, nested(28, json!({}), |inner| json!({"a": inner})))
    }),
    case(
        "recursive items under unevaluatedItems, value 60 deep",
        Exceeded,
        || {
            let schema = json!({"contains": {"$ref": "#"}, "unevaluatedItems": {"$ref": "#"}});
            (schema, nested(60, json!([1]), |inner| json!([inner])))
        },
    ),
    case("not of not of $ref twice, 40 deep", Refused, || {
        let schema = chain(40, |next| json!({"not": {"not": {"allOf": [next, next]}}}));
        (schema, json!("x"))
    }),
    case("pattern (a+)+$", Invalid, || {
        (json!({"pattern": "^(a+)+$"}), json!("a".repeat(1000) + "!"))
    }),
    case("pattern [\\s\\S]{1000}x on 200 kB", Exceeded, || {
        (
            json!({"pattern": "[\\s\\S]{1000}x"}),
            json!("a".repeat(200_000)),
        )
    }),
    case("pattern (a|b)*a(a|b){500}c on 100 kB", Exceeded, || {
        (
            json!({"pattern": "(a|b)*a(a|b){500}c"}),
            json!("ab".repeat(50_000)),
        )
    }),
    case("pattern (a|b)*a(a|b){500}c on 10 kB", Invalid, || {
        (
            json!({"pattern": "(a|b)*a(a|b){500}c"}),
            json!("ab".repeat(5_000)),
        )
    }),
    case("pattern (.{100}){9}x on 500 kB", Exceeded, || {
        (
            json!({"pattern": "(.{100}){9}x"}),
            json!("é".repeat(500_000)),
        )
    }),
    case("pattern a{1000}{1000}", Refused, || {
        (json!({"pattern": "a{1000}{1000}"}), json!("a"))
    }),
    case("pattern \\p{L}{100}", Invalid, || {
        (json!({"pattern": "^\\p{L}{100}$"}), json!("a"))
    }),
    case("200 patterns \\p{L}{100}", Refused, || patterns(200)),
    case("2,000 patterns \\p{L}{100}", Refused, || patterns(2_000)),
    case("20,000 patterns \\p{L}{100}", Refused, || patterns(20_000)),
    case("pattern that looks around", Refused, || {
        (json!({"pattern": "a(?=b)"}), json!("ab"))
    }),
    case("pattern nested 10,000 deep", Refused, || {
        let pattern = "(".repeat(10_000) + "a" + &")".repeat(10_000);
        (json!({"pattern": pattern}), json!("a"))
    }),
    case("enum of 500,000", Refused, || {
        (json!({"enum": numbered(500_000, |n| json!(n))}), json!("x"))
    }),
    case("enum of 50,000 for 1,000 items", Exceeded, || {
        let schema = json!({"items": {"enum": numbered(50_000, |n| json!(n))}});
        (schema, json!(vec!["x"; 1_000]))
    }),
    case("allOf of 20,000 types, value of 1 MB", Refused, || {
        let all = numbered(20_000, |_| json!({"type": "integer"}));
        (json!({"allOf": all}), json!("y".repeat(1_000_000)))
    }),
    case("anyOf of 10,000 types, value of 1 MB", Invalid, || {
        let any = numbered(10_000, |_| json!({"type": "integer"}));
        (json!({"anyOf": any}), json!("y".repeat(1_000_000)))
    }),
    case("required 200,000 names", Refused, || {
        let names = numbered(200_000, |n| json!(format!("n{n}")));
        (json!({"required": names}), json!({}))
    }),
    case("required 50,000 names", Invalid, || {
        let names = numbered(50_000, |n| json!(format!("n{n}")));
        (json!({"required": names}), json!({}))
    }),
    case(
        "unevaluatedItems under 2,000 allOf, 200,000 items",
        Exceeded,
        || {
            let all = numbered(2_000, |_| json!({"prefixItems": [true]}));
            let schema = json!({"allOf": all, "unevaluatedItems": true});
            (schema, json!(vec![0; 200_000]))
        },
    ),
    case("items: integer, 1,000,000 wrong", Invalid, || {
        (
            json!({"items": {"type": "integer"}}),
            json!(vec!["a"; 1_000_000]),
        )
    }),
    case("items: integer, 500,000 wrong", Invalid, || {
        (
            json!({"items": {"type": "integer"}}),
            json!(vec!["a"; 500_000]),
        )
    }),
    case("sums of nested oneOf and allOf, 12 deep", Refused, || {
        let sum = |next| json!({"oneOf": [{"allOf": [next, next]}, {"allOf": [next, next]}]});
        (chain(12, sum), json!("x"))
    }),
    case("items of anyOf, 1,000,000 wrong", Exceeded, || {
        let either = json!({"anyOf": [{"type": "integer"}, {"type": "null"}]});
        (json!({"items": either}), json!(vec!["a"; 1_000_000]))
    }),
    case("uniqueItems, 200,000 items", Valid, || {
        (
            json!({"uniqueItems": true}),
            numbered(200_000, |n| json!(n)),
        )
    }),
    case("uniqueItems, 15 equal lists of 20,000", Exceeded, || {
        let list = json!(vec![0; 20_000]);
        (json!({"uniqueItems": true}), numbered(15, |_| list.clone()))
    }),
    case(
        "uniqueItems, 50,000 pairs of equal hashes",
        Exceeded,
        || {
            let pair = |n: usize| {
                let n = n as u64;
                json!([u64::MAX - n % 2_000, u64::MAX - n / 2_000])
            };
            (json!({"uniqueItems": true}), numbered(50_000, pair))
        },
    ),
    case("multipleOf a fraction, 160,000 x 1e300", Exceeded, || {
        let schema = json!({"items": {"multipleOf": 0.01}});
        (schema, json!(vec![1e300; 160_000]))
    }),
    case("multipleOf a fraction, 500,000 prices", Valid, || {
        let schema = json!({"items": {"multipleOf": 0.01}});
        (schema, json!(vec![19.99; 500_000]))
    }),
    case("contains, 1,000,000 items x 100", Exceeded, || {
        let all = numbered(100, |_| json!({"contains": {"type": "integer"}}));
        (json!({"allOf": all}), json!(vec!["a"; 1_000_000]))
    }),
    case("patternProperties 2,000 x 20,000 keys", Exceeded, || {
        let patterns = (0..2_000).map(|n| (format!("^{n}x"), json!(true)));
        let keys = (0..20_000).map(|n| (format!("k{n}"), json!(1)));
        let schema = json!({"patternProperties": patterns.collect::<Map<_, _>>()});
        (schema, Value::Object(keys.collect()))
    }),
    case("additionalProperties: false, 500,000 keys", Invalid, || {
        let keys = (0..500_000).map(|n| (format!("k{n}"), json!(1)));
        (
            json!({"additionalProperties": false}),
            Value::Object(keys.collect()),
        )
    }),
    case("items before additionalItems", Exceeded, || {
        let known = numbered(50_000, |n| json!(n));
        let schema = json!({"items": {"enum": known}, "additionalItems": true});
        (schema, json!(vec![-1; 1_000]))
    }),
    case("recursive items before additionalItems", Exceeded, || {
        let list = json!({"type": "array", "items": {"$ref": "#"}, "additionalItems": true});
        let schema = json!({"anyOf": [list, list]});
        (schema, nested(40, json!(1), |inner| json!([inner])))
    }),
    case("$recursiveRef with a pointer", Exceeded, || {
        let list = json!({"type": "array", "items": {"$recursiveRef": "#/$defs/t"}});
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "$defs": {"t": true},
            "anyOf": [list, list],
        });
        (schema, nested(40, json!(1), |inner| json!([inner])))
    }),
    case("long key above wrong items", Invalid, || {
        let schema = json!({"additionalProperties": {"items": {"type": "integer"}}});
        let wrong = json!(vec![""; 40_000]);
        (
            schema,
            Value::Object(Map::from_iter([("k".repeat(400_000), wrong)])),
        )
    }),
    case("long key above required names", Invalid, || {
        let names = numbered(40_000, |n| json!(format!("n{n}")));
        let schema = json!({"additionalProperties": {"required": names}});
        let members = [("k".repeat(400_000), json!({}))];
        (schema, Value::Object(Map::from_iter(members)))
    }),
    case("oneOf of two equal $refs, 20 deep", Refused, || {
        (chain(20, |next| json!({"oneOf": [next, next]})), json!("x"))
    }),
    case("oneOf of two equal $refs, 24 deep", Refused, || {
        (chain(24, |next| json!({"oneOf": [next, next]})), json!("x"))
    }),
    case("allOf of two equal $refs, 22 deep", Refused, || {
        (chain(22, |next| json!({"allOf": [next, next]})), json!("x"))
    }),
    case("maxLength 1e300", Valid, || {
        (json!({"maxLength": 1e300}), json!("x"))
    }),
    case("maxLength 1e400", Refused, || {
        // The JSON parser refuses the number.
        let parsed = serde_json::from_str("{\"maxLength\": 1e400}");
        (parsed.unwrap_or(Value::Null), json!("x"))
    }),
    case("multipleOf 1e-300", Valid, || {
        (json!({"multipleOf": 1e-300}), json!(1))
    }),
    case("multipleOf 5e-324", Valid, || {
        (json!({"multipleOf": 5e-324}), json!(1))
    }),
    case("type is a number", Refused, || {
        (json!({"type": 5}), json!(1))
    }),
    case("schema is a number", Refused, || (json!(7), json!(1))),
    case("schema is null", Refused, || (json!(null), json!(1))),
    case("properties is a list", Refused, || {
        (json!({"properties": []}), json!(1))
    }),
    case("$ref with %FF", Refused, || {
        (json!({"$ref": "#/%FF"}), json!(1))
    }),
    case("$ref http", Refused, || {
        (json!({"$ref": "http://127.0.0.1:9/schema"}), json!(1))
    }),
    case("$ref file", Refused, || {
        (json!({"$ref": "file:///etc/passwd"}), json!(1))
    }),
    case("$ref to a meta-schema", Refused, || {
        (
            json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
            json!(1),
        )
    }),
];
