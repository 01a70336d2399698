//! Selection of catalog entries.

use openagentmesh_name::is_in_channel;

use super::entry::CatalogEntry;
use crate::Capabilities;

/// Criteria for catalog entries. The default matches every entry.
///
/// ```
/// use openagentmesh_protocol::CatalogFilter;
///
/// let filter = CatalogFilter::default().channel("nlp").tag("text").streaming(false);
/// # let entry = openagentmesh_protocol::CatalogEntry {
/// #     name: "nlp.summarizer".into(), description: String::new(), version: String::new(),
/// #     tags: vec!["text".into()], invocable: true, streaming: false, extra: Default::default(),
/// # };
/// assert!(filter.matches(&entry));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogFilter {
    channel: Option<String>,
    tags: Vec<String>,
    invocable: Option<bool>,
    streaming: Option<bool>,
}

impl CatalogFilter {
    /// Only agents whose name is `channel` or starts with it plus a dot.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Only agents with `tag`, in addition to the tags required so far.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Only agents that answer requests, or only those that do not.
    #[must_use]
    pub fn invocable(mut self, invocable: bool) -> Self {
        self.invocable = Some(invocable);
        self
    }

    /// Only agents that produce many values, or only those that do not.
    #[must_use]
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.streaming = Some(streaming);
        self
    }

    /// Whether an entry with this name and these capabilities may match, depending on its tags.
    pub(super) fn may_match(&self, name: &str, capabilities: Capabilities) -> bool {
        self.channel
            .as_deref()
            .is_none_or(|channel| is_in_channel(name, channel))
            && self
                .invocable
                .is_none_or(|invocable| capabilities.invocable == invocable)
            && self
                .streaming
                .is_none_or(|streaming| capabilities.streaming == streaming)
    }

    /// Whether `entry` meets all criteria.
    #[must_use]
    pub fn matches(&self, entry: &CatalogEntry) -> bool {
        self.may_match(&entry.name, entry.capabilities())
            && self.tags.iter().all(|tag| entry.tags.contains(tag))
    }
}
