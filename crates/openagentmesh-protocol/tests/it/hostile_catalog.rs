//! Catalogs and contracts that any peer can write.

use openagentmesh_protocol::{CatalogDocument, CatalogEntry, CatalogFilter, Contract};
use serde_json::{Value, json};

/// The size of the largest value that a default server stores, in bytes.
const LIMIT: usize = 8_000_000;

fn echo() -> CatalogEntry {
    serde_json::from_value(json!({"name": "echo", "description": "Echoes.", "version": "1.0.0"}))
        .unwrap()
}

fn filled(element: impl Fn(usize) -> String) -> String {
    let mut text = String::from("[");
    for number in 0.. {
        let element = element(number);
        if text.len() + element.len() + 2 > LIMIT {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&element);
    }
    text + "]"
}

fn names(catalog: &CatalogDocument) -> Vec<String> {
    catalog.entries().map(|entry| entry.name).collect()
}

#[test]
fn value_that_is_not_an_array_is_an_error() {
    let deep = "[".repeat(100_000);
    for text in ["null", "7", "{}", "not json", "[1", "[]]", "\"x\"", &deep] {
        assert!(
            CatalogDocument::parse(text.as_bytes()).is_err(),
            "{text:.20}"
        );
    }
    assert!(CatalogDocument::parse(b"[\"\xff\"]").is_err());
    assert!(CatalogDocument::parse(b"").unwrap().is_empty());
}

#[test]
fn elements_that_are_not_entries_are_counted_and_bounded() {
    let mut catalog = CatalogDocument::parse(filled(|_| "0".to_owned()).as_bytes()).unwrap();
    assert_eq!(catalog.count_invalid(), 3_999_999);
    assert_eq!(catalog.entries().count(), 0);
    assert!(catalog.upsert([echo()]).unwrap());
    assert_eq!(names(&catalog), ["echo"]);
    assert!(catalog.to_json().unwrap().len() < 10_000);

    let differ = filled(|number| format!("{number}"));
    let mut catalog = CatalogDocument::parse(differ.as_bytes()).unwrap();
    assert!(catalog.count_invalid() > 1_000_000);
    assert!(catalog.upsert([echo()]).unwrap());
    assert_eq!(names(&catalog), ["echo"]);
}

#[test]
fn deep_element_keeps_the_others_readable() {
    let (open, close) = ("[".repeat(99_999), "]".repeat(99_999));
    let deep = format!("[{open}{close}]");
    assert_eq!(
        CatalogDocument::parse(deep.as_bytes())
            .unwrap()
            .count_invalid(),
        1
    );
    let entry =
        format!(r#"[{{"name":"deep","x":{open}{close}}},{{"name":"echo","description":""}}]"#);
    let catalog = CatalogDocument::parse(entry.as_bytes()).unwrap();
    assert_eq!(names(&catalog), ["echo"]);
    assert!(catalog.has("deep") && catalog.get("deep").is_none());
}

#[test]
fn entry_that_is_too_large_is_replaced_by_its_host() {
    let tags = format!(
        r#"[{{"name":"echo","tags":[{}""]}}]"#,
        "\"\",".repeat(2_000_000)
    );
    let fields: String = (0..400_000)
        .map(|number| format!("\"f{number}\":0,"))
        .collect();
    let fields = format!(r#"[{{{fields}"name":"echo"}}]"#);
    let description = format!(
        r#"[{{"name":"echo","description":"{}"}}]"#,
        "x".repeat(LIMIT)
    );
    for text in [tags, fields, description] {
        let mut catalog = CatalogDocument::parse(text.as_bytes()).unwrap();
        assert_eq!(catalog.entries().count(), 0);
        assert!(catalog.has("echo"));
        assert!(catalog.upsert([echo()]).unwrap());
        assert_eq!(catalog.len(), 1);
        assert!(catalog.to_json().unwrap().len() < 1000);
        assert!(catalog.says(&echo()));
    }
}

#[test]
fn entries_beyond_the_limit_of_memory_are_not_listed() {
    let tags = "\"\",".repeat(10_000);
    let text = filled(|number| format!(r#"{{"name":"a{number}","tags":[{tags}""]}}"#));
    let catalog = CatalogDocument::parse(text.as_bytes()).unwrap();
    assert!(catalog.count_invalid() > 0);
    let listed: usize = catalog.entries().map(|entry| entry.tags.len() * 48).sum();
    assert!(listed <= 32 * 1024 * 1024, "{listed}");
    assert!(catalog.entries().count() > 50);
    let mut repaired = catalog;
    let (before, own) = (repaired.len(), echo());
    assert!(repaired.upsert([own.clone()]).unwrap());
    assert_eq!(repaired.len(), before + 1);
    assert!(repaired.says(&own));
    assert!(!repaired.upsert([own.clone()]).unwrap());
    // Another peer writes the entry at the end.
    let text = String::from_utf8(repaired.to_json().unwrap()).unwrap();
    let moved = serde_json::to_string(&own).unwrap();
    let text = text.replacen(&format!("{moved},"), "", 1);
    let text = format!("{},{moved}]", text.strip_suffix(']').unwrap());
    let mut catalog = CatalogDocument::parse(text.as_bytes()).unwrap();
    assert!(catalog.has("echo") && !catalog.says(&own));
    assert!(catalog.upsert([own.clone()]).unwrap());
    assert!(catalog.says(&own) && catalog.len() == before + 1);

    let plain = filled(|number| {
        format!(
            r#"{{"name":"a{number}","description":"One of many.","version":"1.0.0","tags":["t"],"invocable":true}}"#
        )
    });
    let catalog = CatalogDocument::parse(plain.as_bytes()).unwrap();
    assert!(catalog.len() > 70_000 && catalog.count_invalid() == 0);
}

#[test]
fn repeated_name_is_listed_once_and_written_once() {
    let text = br#"[{"name":"echo","description":"wrong"},{"name":"b"},{"name":"echo","description":"Echoes.","version":"1.0.0"}]"#;
    let mut catalog = CatalogDocument::parse(text).unwrap();
    assert_eq!(names(&catalog), ["echo", "b"]);
    assert!(!catalog.says(&echo()));
    assert!(catalog.upsert([echo()]).unwrap());
    assert_eq!(
        (catalog.len(), names(&catalog)),
        (2, vec!["echo".to_owned(), "b".to_owned()])
    );
    assert!(catalog.says(&echo()));
}

#[test]
fn unlisted_elements_are_removed_to_make_room() {
    let text = br#"["x",{"name":"a b"},{"name":"echo","version":7},{"name":"b"}]"#;
    let mut catalog = CatalogDocument::parse(text).unwrap();
    assert_eq!(catalog.count_invalid(), 3);
    assert!(catalog.remove_unlisted());
    assert_eq!(catalog.to_json().unwrap(), br#"[{"name":"b"}]"#);
    assert!(!catalog.remove_unlisted());
}

#[test]
fn texts_of_names_are_set_and_removed() {
    let mut catalog = CatalogDocument::parse(br#"[{"name":"a"},{"name":"b","x":1}]"#).unwrap();
    let older = r#"{"name":"a","version":"2"}"#.to_owned();
    let changes = [("a".to_owned(), Some(older)), ("b".to_owned(), None)];
    assert!(catalog.set(changes).unwrap());
    assert_eq!(
        catalog.to_json().unwrap(),
        br#"[{"name":"a","version":"2"}]"#
    );
    assert!(!catalog.set([("b".to_owned(), None)]).unwrap());
}

#[test]
fn filter_matches_before_and_after_parsing_alike() {
    let text = br#"[{"name":"a.x","tags":["t"],"streaming":true},{"name":"a.y","tags":["t"]},{"name":"b"}]"#;
    let catalog = CatalogDocument::parse(text).unwrap();
    for filter in [
        CatalogFilter::default(),
        CatalogFilter::default()
            .channel("a")
            .tag("t")
            .streaming(false),
        CatalogFilter::default().invocable(false),
        CatalogFilter::default().streaming(true),
    ] {
        let all = catalog.entries().filter(|entry| filter.matches(entry));
        let all: Vec<CatalogEntry> = all.collect();
        assert_eq!(catalog.matching(&filter).collect::<Vec<_>>(), all);
    }
}

/// The published SDKs read a missing field as its default, and fail on `null`.
#[test]
fn missing_or_null_field_of_an_entry_is_its_default() {
    let missing: CatalogEntry = serde_json::from_value(json!({"name": "a"})).unwrap();
    let optional = [
        "description",
        "version",
        "tags",
        "invocable",
        "streaming",
        "channel",
    ];
    for field in optional {
        let entry = json!({"name": "a", field: null});
        let catalog = CatalogDocument::parse(json!([entry]).to_string().as_bytes()).unwrap();
        assert_eq!(catalog.get("a"), Some(missing.clone()), "{field}");
    }
    assert!(missing.invocable && !missing.streaming && missing.version == "0.1.0");
}

#[test]
fn missing_or_null_field_of_a_contract_is_its_default() {
    let minimal: Contract = serde_json::from_value(json!({"name": "a"})).unwrap();
    assert!(minimal.capabilities.invocable && !minimal.capabilities.streaming);
    assert_eq!((&*minimal.version, &*minimal.description), ("0.1.0", ""));
    let skill = |field: &str| json!({"name": "a", "skills": [{"id": "a", field: null}]});
    let extension = |field: &str| json!({"name": "a", "x-agentmesh": {field: null}});
    let capability = |field: &str| json!({"name": "a", "capabilities": {field: null}});
    let top = [
        "description",
        "version",
        "capabilities",
        "skills",
        "x-agentmesh",
    ];
    let top = top.iter().map(|field| json!({"name": "a", *field: null}));
    let skills = ["name", "description", "tags", "inputSchema", "outputSchema"];
    let extensions = [
        "channel",
        "subject",
        "tags",
        "registered_at",
        "chunk_schema",
        "mcp",
    ];
    let documents: Vec<Value> = top
        .chain([
            json!({"name": "a", "skills": [null]}),
            json!({"name": "a", "skills": []}),
        ])
        .chain(skills.map(skill))
        .chain(extensions.map(extension))
        .chain(["invocable", "streaming"].map(capability))
        .collect();
    for document in documents {
        let read: Contract = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(read, minimal, "{document}");
    }
    for document in [
        json!({"name": null}),
        json!({}),
        json!(null),
        json!([]),
        json!({"name": "a b"}),
    ] {
        assert!(
            serde_json::from_value::<Contract>(document.clone()).is_err(),
            "{document}"
        );
    }
}
