//! What a reference refers to.

use std::collections::HashMap;

use serde_json::Value;

/// The schemas of a document that have a name of their own, or are the root of others.
pub(super) struct Resources<'s> {
    whole: &'s Value,
    /// By URI, with `#` and the name of an anchor where it is one.
    named: HashMap<String, &'s Value>,
    /// The resource that a schema is in, for those that are not in that of the whole.
    roots: HashMap<*const Value, Root<'s>>,
}

#[derive(Clone)]
struct Root<'s> {
    schema: &'s Value,
    uri: String,
}

impl<'s> Resources<'s> {
    pub(super) fn of(whole: &'s Value) -> Self {
        let mut resources = Self {
            whole,
            named: HashMap::new(),
            roots: HashMap::new(),
        };
        let root = Root {
            schema: whole,
            uri: String::new(),
        };
        let mut waiting = vec![(whole, root)];
        while let Some((value, root)) = waiting.pop() {
            resources.enter(value, root, &mut waiting);
        }
        resources
    }

    fn enter(
        &mut self,
        value: &'s Value,
        mut root: Root<'s>,
        waiting: &mut Vec<(&'s Value, Root<'s>)>,
    ) {
        match value {
            Value::Array(list) => waiting.extend(list.iter().map(|value| (value, root.clone()))),
            Value::Object(members) => {
                let text = |name| members.get(name).and_then(Value::as_str);
                match text("$id") {
                    // What drafts before 2019-09 write for `$anchor`.
                    Some(anchor) if anchor.starts_with('#') => {
                        self.named.insert(format!("{}{anchor}", root.uri), value);
                    }
                    Some(id) => {
                        let (id, anchor) = id.split_once('#').unwrap_or((id, ""));
                        let uri = joined(&root.uri, id);
                        if !anchor.is_empty() {
                            self.named.insert(format!("{uri}#{anchor}"), value);
                        }
                        self.named.insert(uri.clone(), value);
                        root = Root { schema: value, uri };
                    }
                    None => {}
                }
                for name in ["$anchor", "$dynamicAnchor"].into_iter().filter_map(text) {
                    self.named.insert(format!("{}#{name}", root.uri), value);
                }
                if !root.uri.is_empty() {
                    self.roots.insert(std::ptr::from_ref(value), root.clone());
                }
                let schemas = members
                    .iter()
                    .filter(|(name, _)| !matches!(name.as_str(), "const" | "enum"));
                waiting.extend(schemas.map(|(_, value)| (value, root.clone())));
            }
            _ => {}
        }
    }

    /// The schema that `schema` refers to as `reference`.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub(super) fn find(&self, schema: &'s Value, reference: &str) -> Result<&'s Value, String> {
        let root = self.roots.get(&std::ptr::from_ref(schema));
        let base = root.map_or("", |root| root.uri.as_str());
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let uri = joined(base, uri);
        let within = match (uri == base, self.named.get(&uri)) {
            (true, _) => Some(root.map_or(self.whole, |root| root.schema)),
            (false, named) => named.copied(),
        };
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        let found = match fragment.as_ref() {
            "" => within,
            pointer if pointer.starts_with('/') => {
                within.and_then(|within| within.pointer(pointer))
            }
            anchor => self.named.get(&format!("{uri}#{anchor}")).copied(),
        };
        found.ok_or_else(|| format!("\"{reference}\" refers to nothing in this schema"))
    }
}

/// `reference` as it is meant beside `base`.
fn joined(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    if reference.contains(':') || base.is_empty() {
        return reference.to_owned();
    }
    let host = base.find("://").map_or(0, |colon| colon + 3);
    let path = base[host..]
        .find('/')
        .map_or(base.len(), |slash| host + slash);
    match reference.starts_with('/') {
        true => format!("{}{reference}", &base[..path]),
        false => {
            let end = base.rfind('/').filter(|end| *end >= path);
            let folder = end.map_or(base, |end| &base[..end]);
            format!("{folder}/{reference}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn references_are_relative_to_their_base() {
        assert_eq!(joined("http://a/b/c", "d"), "http://a/b/d");
        assert_eq!(joined("http://a/b/c", "/d"), "http://a/d");
        assert_eq!(joined("http://a", "d"), "http://a/d");
        assert_eq!(joined("http://a/b", "urn:x"), "urn:x");
        assert_eq!(joined("", "d"), "d");
        assert_eq!(joined("http://a/b", ""), "http://a/b");
    }
}
