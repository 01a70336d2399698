//! Schemas that are made to be large or to be compiled many times.

use serde_json::{Map, Value, json};

use super::hostile::Expected::{Invalid, Refused, Valid};
use super::hostile::{Case, case, chain, nested, not};

fn documents(count: usize) -> (Value, Value) {
    let definitions = (0..count).map(|n| {
        let schema = json!({"$id": format!("http://x/{n}"), "type": "integer"});
        (format!("d{n}"), schema)
    });
    let definitions: Map<_, _> = definitions.collect();
    let last = format!("http://x/{}", count - 1);
    (json!({"$ref": last, "$defs": definitions}), json!(1))
}

pub(super) const CASES: &[Case] = &[
    case("$id loops", Refused, || {
        let schema = json!({
            "$id": "http://a/", "$ref": "http://b/",
            "$defs": {"b": {"$id": "http://b/", "$ref": "http://a/"}},
        });
        (schema, json!(1))
    }),
    case("$schema of another document", Valid, || {
        (json!({"$schema": "http://127.0.0.1:9/meta"}), json!(1))
    }),
    case(
        "schema with a long key above 20,000 properties",
        Refused,
        || {
            let properties = (0..20_000).map(|n| (format!("p{n}"), json!({})));
            let properties: Map<_, _> = properties.collect();
            let members = [("k".repeat(400_000), json!({"properties": properties}))];
            (json!({"properties": Map::from_iter(members)}), json!(1))
        },
    ),
    case("chain of 200 $refs", Invalid, || {
        (chain(200, |next| next), json!("x"))
    }),
    case("chain of 5,000 $refs", Refused, || {
        (chain(5_000, |next| next), json!("x"))
    }),
    case("chain of 5,000 $refs through properties", Refused, || {
        let schema = chain(5_000, |next| json!({"properties": {"a": next}}));
        (schema, json!({"a": {"a": {}}}))
    }),
    case("chain of 2,500 $refs through properties", Valid, || {
        let schema = chain(2_500, |next| json!({"properties": {"a": next}}));
        (schema, json!({"a": {"a": {}}}))
    }),
    case("schema 100 deep", Invalid, || {
        let schema = nested(
            100,
            json!({"type": "string"}),
            |inner| json!({"properties": {"a": inner}}),
        );
        (schema, nested(100, json!(1), |inner| json!({"a": inner})))
    }),
    case("schema 300 deep", Refused, || {
        (nested(300, json!({}), not), json!(1))
    }),
    case("schema 100,000 deep", Refused, || {
        (nested(100_000, json!({}), not), json!(1))
    }),
    case("900 $id", Valid, || documents(900)),
    case("10,000 $id", Refused, || documents(10_000)),
    case("40 layers of two documents", Refused, || {
        let definitions = (0..=40).flat_map(|n| {
            ["a", "b"].map(|name| {
                let schema = json!({
                    "$id": format!("http://x/{name}{n}"),
                    "properties": {
                        "p": {"$ref": format!("http://x/a{}", (n + 1).min(40))},
                        "q": {"$ref": format!("http://x/b{}", (n + 1).min(40))},
                    },
                });
                (format!("{name}{n}"), schema)
            })
        });
        let definitions: Map<_, _> = definitions.collect();
        (
            json!({"$ref": "http://x/a0", "$defs": definitions}),
            json!(1),
        )
    }),
    case(
        "40 layers in one embedded document and the root",
        Refused,
        || {
            let layers = || -> Map<String, Value> {
                let layer = |n: usize| {
                    let next = format!("#/$defs/d{}", (n + 1).min(40));
                    let properties = json!({
                        "p": {"$ref": format!("http://x/a{next}")},
                        "q": {"$ref": format!("http://x/b{next}")},
                    });
                    (format!("d{n}"), json!({"properties": properties}))
                };
                (0..=40).map(layer).collect()
            };
            let mut definitions = layers();
            definitions.insert("b".into(), json!({"$id": "http://x/b", "$defs": layers()}));
            let schema = json!({"$id": "http://x/a", "$ref": "#/$defs/d0", "$defs": definitions});
            (schema, json!(1))
        },
    ),
    case(
        "2,000 unevaluatedProperties next to a large $ref",
        Refused,
        || {
            let part = json!({"$ref": "#/$defs/b", "unevaluatedProperties": false});
            let parts = (0..2_000).map(|n| (format!("p{n}"), part.clone()));
            let names = (0..20_000).map(|n| (format!("q{n}"), json!({})));
            let (parts, names): (Map<_, _>, Map<_, _>) = (parts.collect(), names.collect());
            let large = json!({"additionalProperties": {"properties": names}});
            (
                json!({"properties": parts, "$defs": {"b": large}}),
                json!(1),
            )
        },
    ),
    case(
        "2,000 unevaluatedProperties next to many names",
        Refused,
        || {
            let part = json!({"$ref": "#/$defs/b", "unevaluatedProperties": false});
            let parts = (0..2_000).map(|n| (format!("p{n}"), part.clone()));
            let names = (0..20_000).map(|n| (format!("q{n}"), json!(true)));
            let (parts, names): (Map<_, _>, Map<_, _>) = (parts.collect(), names.collect());
            (
                json!({"properties": parts, "$defs": {"b": {"properties": names}}}),
                json!(1),
            )
        },
    ),
    case(
        "2,000 unevaluatedProperties, each in the one before",
        Refused,
        || {
            let schema = chain(
                2_000,
                |next| json!({"additionalProperties": {"$ref": next["$ref"], "unevaluatedProperties": false}}),
            );
            (schema, json!(1))
        },
    ),
    case(
        "2,000 unevaluatedItems, each in the one before",
        Refused,
        || {
            let schema = chain(
                2_000,
                |next| json!({"contains": {"$ref": next["$ref"], "unevaluatedItems": false}}),
            );
            (schema, json!(1))
        },
    ),
    case(
        "100 unevaluatedProperties, each in the one before",
        Refused,
        || {
            let schema = chain(
                100,
                |next| json!({"additionalProperties": {"$ref": next["$ref"], "unevaluatedProperties": false}}),
            );
            (schema, json!(1))
        },
    ),
    case(
        "25 unevaluatedProperties, each in the one before",
        Valid,
        || {
            let schema = chain(
                25,
                |next| json!({"additionalProperties": {"$ref": next["$ref"], "unevaluatedProperties": false}}),
            );
            (schema, json!(1))
        },
    ),
    case(
        "20 unevaluatedProperties next to a large $ref",
        Valid,
        || {
            let part = json!({"$ref": "#/$defs/b", "unevaluatedProperties": false});
            let parts = (0..20).map(|n| (format!("p{n}"), part.clone()));
            let names = (0..500).map(|n| (format!("q{n}"), json!({})));
            let (parts, names): (Map<_, _>, Map<_, _>) = (parts.collect(), names.collect());
            let large = json!({"additionalProperties": {"properties": names}});
            (
                json!({"properties": parts, "$defs": {"b": large}}),
                json!(1),
            )
        },
    ),
    case(
        "9,000 unevaluatedProperties next to a small $ref",
        Refused,
        || {
            let part = json!({"$ref": "#/$defs/b", "unevaluatedProperties": false});
            let parts = (0..9_000).map(|n| (format!("p{n}"), part.clone()));
            let parts: Map<_, _> = parts.collect();
            let small = json!({"additionalProperties": {"type": "integer"}});
            (
                json!({"properties": parts, "$defs": {"b": small}}),
                json!(1),
            )
        },
    ),
    case(
        "2,000 unevaluatedProperties next to a small $ref",
        Valid,
        || {
            let part = json!({"$ref": "#/$defs/b", "unevaluatedProperties": false});
            let parts = (0..2_000).map(|n| (format!("p{n}"), part.clone()));
            let parts: Map<_, _> = parts.collect();
            let small = json!({"additionalProperties": {"type": "integer"}});
            (
                json!({"properties": parts, "$defs": {"b": small}}),
                json!(1),
            )
        },
    ),
    case(
        "40 unevaluatedProperties, each in the one before",
        Valid,
        || {
            let schema = chain(
                40,
                |next| json!({"additionalProperties": {"$ref": next["$ref"], "unevaluatedProperties": false}}),
            );
            (schema, json!(1))
        },
    ),
    case("40 unevaluatedItems, each in the one before", Valid, || {
        let schema = chain(
            40,
            |next| json!({"contains": {"$ref": next["$ref"], "unevaluatedItems": false}}),
        );
        (schema, json!(1))
    }),
    case("two unevaluatedProperties in each of 13", Refused, || {
        let schema = chain(13, |next| {
            let strict = json!({"$ref": next["$ref"], "unevaluatedProperties": false});
            json!({"additionalProperties": strict, "patternProperties": {"a": strict}})
        });
        (schema, json!(1))
    }),
    case("two unevaluatedProperties in each of 9", Valid, || {
        let schema = chain(9, |next| {
            let strict = json!({"$ref": next["$ref"], "unevaluatedProperties": false});
            json!({"additionalProperties": strict, "patternProperties": {"a": strict}})
        });
        (schema, json!(1))
    }),
    case("two unevaluatedItems in each of 13", Refused, || {
        let schema = chain(13, |next| {
            let strict = json!({"$ref": next["$ref"], "unevaluatedItems": false});
            json!({"contains": strict, "allOf": [{"contains": strict}]})
        });
        (schema, json!(1))
    }),
    case("two unevaluatedItems in each of 9", Valid, || {
        let schema = chain(9, |next| {
            let strict = json!({"$ref": next["$ref"], "unevaluatedItems": false});
            json!({"contains": strict, "allOf": [{"contains": strict}]})
        });
        (schema, json!(1))
    }),
    case("7 references between two documents", Valid, || {
        let layers = |own: &str| -> Map<String, Value> {
            let layer = |n: usize| {
                let (next, other) = (
                    format!("#/$defs/d{}", (n + 1).min(3)),
                    if own == "a" { "b" } else { "a" },
                );
                let properties = json!({
                    "p": {"$ref": next}, "q": {"$ref": format!("http://x/{other}{next}")},
                });
                (format!("d{n}"), json!({"properties": properties}))
            };
            (0..3)
                .map(layer)
                .chain([("d3".to_owned(), json!({}))])
                .collect()
        };
        let mut definitions = layers("a");
        definitions.insert(
            "b".into(),
            json!({"$id": "http://x/b", "$defs": layers("b")}),
        );
        let schema = json!({"$id": "http://x/a", "$ref": "#/$defs/d0", "$defs": definitions});
        (schema, json!(1))
    }),
    case("300 strict types that refer to each other", Valid, || {
        let types = (0..300).map(|n| {
            let properties = (0..20).map(|m| {
                let next = format!("#/$defs/d{}", (n * 7 + m * m + 1) % 300);
                (format!("p{m}"), json!({"$ref": next}))
            });
            let properties: Map<_, _> = properties.collect();
            let base = json!({"$ref": format!("#/$defs/base{}", n % 10)});
            let schema = json!({
                "type": "object", "properties": properties, "allOf": [base],
                "unevaluatedProperties": false,
            });
            (format!("d{n}"), schema)
        });
        let mut definitions: Map<_, _> = types.collect();
        for n in 0..10 {
            let base = json!({"properties": {"kind": {"type": "string"}, "next": {"$ref": "#"}}});
            definitions.insert(format!("base{n}"), base);
        }
        (
            json!({"$ref": "#/$defs/d0", "$defs": definitions}),
            json!({"p1": {}}),
        )
    }),
];
