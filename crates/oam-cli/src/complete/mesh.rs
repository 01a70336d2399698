//! The names on the mesh that the line selects.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::mpsc;
use std::time::Instant;

use clap::{Args, Command, FromArgMatches};
use clap_complete::engine::CompletionCandidate;
use openagentmesh::protocol::name::AgentName;
use openagentmesh::protocol::subject;
use openagentmesh::{AgentMesh, CatalogEntry, MeshContexts};

use super::sources::Source;
use crate::cli::{Global, Target};
use crate::connection::connect;

/// Names with their descriptions, sorted.
type Names = BTreeMap<String, Option<String>>;

/// Reads names from the mesh that the words of a line select, until a deadline.
#[derive(Debug, Clone)]
pub(super) struct MeshNames {
    /// The options of the line that select the mesh.
    options: Vec<OsString>,
    deadline: Instant,
}

impl MeshNames {
    /// `words` are those before the word at the cursor.
    pub(super) fn new(words: &[OsString], deadline: Instant) -> Self {
        Self {
            options: target_options(words),
            deadline,
        }
    }

    /// The names of a kind that start with `typed`. None if the mesh does not answer in time.
    pub(super) fn starting_with(&self, source: Source, typed: &OsStr) -> Vec<CompletionCandidate> {
        let Some(typed) = typed.to_str() else {
            return Vec::new();
        };
        self.read(source)
            .into_iter()
            // A name that begins with `-` would be taken for an option.
            .filter(|(name, _)| name.starts_with(typed) && !name.starts_with('-'))
            .map(|(name, help)| {
                CompletionCandidate::new(name).help(help.map(clap::builder::StyledStr::from))
            })
            .collect()
    }

    fn read(&self, source: Source) -> Names {
        let Some(target) = target(&self.options) else {
            return Names::new();
        };
        let (sender, names) = mpsc::channel();
        let deadline = self.deadline;
        // A read of a file or a look-up of a host may block; the process ends without it.
        let reader = std::thread::Builder::new().spawn(move || {
            drop(sender.send(read_until(deadline, target, source)));
        });
        if reader.is_err() {
            return Names::new();
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        names.recv_timeout(left).unwrap_or_default()
    }
}

/// The options of a line that select the mesh, with their values.
fn target_options(words: &[OsString]) -> Vec<OsString> {
    let definitions = Global::augment_args(Command::new("oam"));
    let longs: Vec<String> = definitions
        .get_arguments()
        .filter(|argument| argument.get_action().takes_values())
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let mut options = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else { continue };
        if longs.iter().any(|long| long == text) {
            if let Some(value) = words.next() {
                options.extend([word.clone(), value.clone()]);
            }
        } else if let Some((long, _)) = text.split_once('=')
            && longs.iter().any(|known| known == long)
        {
            options.push(word.clone());
        }
    }
    options
}

fn target(options: &[OsString]) -> Option<Target> {
    let definitions = Global::augment_args(Command::new("oam").args_override_self(true));
    let matches = definitions
        .no_binary_name(true)
        .try_get_matches_from(options)
        .ok()?;
    Target::from_arg_matches(&matches).ok()
}

fn read_until(deadline: Instant, target: Target, source: Source) -> Names {
    if source == Source::Contexts {
        let contexts = MeshContexts::read().ok();
        let names = contexts.iter().flat_map(MeshContexts::names);
        return names.map(|name| (name.to_owned(), None)).collect();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Names::new();
    };
    let reading = async {
        let mesh = connect(target).await.ok()?;
        names(&mesh, source).await
    };
    let names = runtime.block_on(async { tokio::time::timeout_at(deadline.into(), reading).await });
    runtime.shutdown_background();
    names.ok().flatten().unwrap_or_default()
}

async fn names(mesh: &AgentMesh, source: Source) -> Option<Names> {
    match source {
        Source::Keys => {
            let keys = mesh.kv().keys(">").await.ok()?;
            Some(keys.into_iter().map(|key| (key, None)).collect())
        }
        Source::Files => {
            let files = mesh.workspace().list("").await.ok()?;
            Some(files.into_iter().map(|file| (file.name, None)).collect())
        }
        _ => {
            let entries: Vec<CatalogEntry> = mesh.catalog().await.ok()?;
            Some(
                entries
                    .iter()
                    .flat_map(|entry| of_entry(entry, source))
                    .collect(),
            )
        }
    }
}

/// The names of a kind that an entry of the catalog has.
fn of_entry(entry: &CatalogEntry, source: Source) -> Vec<(String, Option<String>)> {
    let fits = match source {
        Source::Called => entry.invocable && !entry.streaming,
        Source::Streamed => entry.invocable && entry.streaming,
        Source::Subscribed => !entry.invocable && entry.streaming,
        _ => true,
    };
    let names = match source {
        Source::Tags => entry.tags.clone(),
        Source::Channels => channels(&entry.name),
        Source::Subjects => subjects(entry),
        _ if fits => {
            let description = Some(entry.description.clone()).filter(|text| !text.is_empty());
            return vec![(entry.name.clone(), description)];
        }
        _ => Vec::new(),
    };
    names.into_iter().map(|name| (name, None)).collect()
}

/// The channels of an agent: the segments before its last one, and those before these.
fn channels(name: &str) -> Vec<String> {
    let dots = name.match_indices('.');
    dots.map(|(end, _)| name[..end].to_owned()).collect()
}

fn subjects(entry: &CatalogEntry) -> Vec<String> {
    let Ok(name) = entry.name.parse::<AgentName>() else {
        return Vec::new();
    };
    let mut subjects = vec![subject::errors(&name)];
    if entry.invocable {
        subjects.push(subject::agent(&name));
    }
    if entry.streaming && !entry.invocable {
        subjects.push(subject::events(&name));
    }
    subjects
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{channels, target, target_options};

    #[test]
    fn options_of_the_line_select_the_mesh() {
        let words = [
            "kv",
            "--url",
            "nats://a:1",
            "get",
            "--creds=x.creds",
            "--json",
            "--url=nats://b:2",
        ];
        let options = target_options(&words.map(OsString::from));
        let expected = ["--url", "nats://a:1", "--creds=x.creds", "--url=nats://b:2"];
        assert_eq!(options, expected.map(OsString::from));
        let target = target(&options);
        assert_eq!(
            target.and_then(|target| target.url),
            Some("nats://b:2".to_owned())
        );
    }

    #[test]
    fn channels_of_an_agent_are_the_prefixes_of_its_name() {
        assert_eq!(channels("a.b.c"), ["a", "a.b"]);
        assert!(channels("a").is_empty());
    }
}
