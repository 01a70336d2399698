//! The names that a write of the catalog has changed, as its header states them.

/// The header of a write of the catalog that names the agents whose entries it has added, changed or removed.
///
/// An extension, written by hosts and monitors of this SDK. A process that follows the catalog by its headers decides
/// by it whether the write concerns it. A write without the header may have changed every entry.
pub const CHANGED_HEADER: &str = "X-Mesh-Catalog-Changed";

/// The length of the header's value, in bytes, up to which it is written and believed.
pub const MAX_CHANGED_BYTES: usize = 512;

/// The value of [`CHANGED_HEADER`] for a write that changes the entries of `names` alone; `None` if they are too many
/// for a header.
///
/// ```
/// use openagentmesh_protocol::catalog::changed_names;
///
/// assert_eq!(changed_names(["echo", "nlp.sum"]).as_deref(), Some("echo nlp.sum"));
/// assert_eq!(changed_names(["not a name"]), None);
/// assert_eq!(changed_names(std::iter::repeat_n("echo", 1000)), None);
/// ```
#[must_use]
pub fn changed_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let mut value = String::new();
    for name in names {
        let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || value.len() + name.len() + 1 > MAX_CHANGED_BYTES {
            return None;
        }
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(name);
    }
    Some(value)
}
